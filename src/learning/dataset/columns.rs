//! Which columns of a list name a clip's labels.

use std::collections::HashSet;

use csv::StringRecord;

use super::{NONE, Task};

/// The forms that labels have in a table.
pub(super) enum LabelColumns {
    /// `label`: one.
    One(usize),
    /// `labels`: none, one, or several with `|` between them.
    Joined(usize),
    /// A column a label: 1 where a clip shows it, else 0.
    Each(Vec<(usize, String)>),
}

impl LabelColumns {
    /// Of a table with this header; `others` are the columns that say something else.
    ///
    /// # Errors
    /// Where there is none, one form too many, or a column that can't be a label; for people.
    pub(super) fn of(header: &StringRecord, others: &[Option<usize>]) -> Result<Self, String> {
        let column = |name: &str| header.iter().position(|h| h.eq_ignore_ascii_case(name));
        match (column("label"), column("labels")) {
            (Some(_), Some(_)) => {
                Err("its header has both `label` and `labels`: leave out `label` where clips show \
                                       several labels, `labels` where each shows one"
                    .into())
            }
            (Some(label), None) => Ok(Self::One(label)),
            (None, Some(labels)) => Ok(Self::Joined(labels)),
            (None, None) => {
                let free = (0..header.len()).filter(|i| !others.contains(&Some(*i)));
                let named: Vec<_> = free.map(|i| (i, header[i].to_owned())).collect();
                if named.is_empty() {
                    return Err("its header lacks `label` (wanted: path,label[,split][,group])".into());
                }
                let mut seen = HashSet::new();
                for (i, name) in &named {
                    if name.is_empty() {
                        return Err(format!("column {} of its header has no name", i + 1));
                    }
                    if name.contains('|') {
                        let why = "results have '|' between labels, so that none can hold it";
                        return Err(format!("its column '{name}' can't be a label: {why}"));
                    }
                    if !seen.insert(name) {
                        return Err(format!("its header has the column '{name}' twice"));
                    }
                }
                Ok(Self::Each(named))
            }
        }
    }

    /// What the table asks of a clip.
    pub(super) fn task(&self) -> Task {
        match self {
            Self::One(_) => Task::OneOf,
            Self::Joined(_) | Self::Each(_) => Task::AnyOf,
        }
    }

    /// Whether `column` is one of them.
    pub(super) fn has(&self, column: usize) -> bool {
        match self {
            Self::One(only) | Self::Joined(only) => *only == column,
            Self::Each(columns) => columns.iter().any(|(i, _)| *i == column),
        }
    }

    /// The labels of one row.
    ///
    /// # Errors
    /// What is wrong with a cell, for people.
    pub(super) fn read(&self, record: &StringRecord) -> Result<Vec<String>, String> {
        let labels = self.cells(record)?;
        match labels.iter().find(|label| *label != NONE) {
            Some(label) if labels.iter().any(|label| label == NONE) => {
                Err(format!("`{NONE}` beside '{label}': a clip shows labels, or none of them"))
            }
            _ => Ok(labels),
        }
    }

    fn cells(&self, record: &StringRecord) -> Result<Vec<String>, String> {
        let cell = |i: usize| record.get(i).unwrap_or_default();
        match self {
            Self::One(column) if cell(*column).is_empty() => Err("no path or no label".into()),
            Self::One(column) => Ok(vec![cell(*column).to_owned()]),
            Self::Joined(column) if cell(*column).is_empty() => Ok(Vec::new()),
            Self::Joined(column) => {
                let names: Vec<String> =
                    cell(*column).split('|').map(|name| name.trim().to_owned()).collect();
                match names.iter().any(String::is_empty) {
                    true => Err(format!(
                        "labels is '{}', with nothing before, between or after '|' (wanted: label1|label2)",
                        cell(*column)
                    )),
                    false => Ok(names),
                }
            }
            Self::Each(columns) => {
                let mut shown = Vec::new();
                for (i, name) in columns {
                    match cell(*i) {
                        "1" => shown.push(name.clone()),
                        "0" => {}
                        other => {
                            return Err(format!(
                                "{name} is '{other}', not 0 or 1 (without a column `label` or `labels`, every column \
                                 but path, split, group, start and end is a label)"
                            ));
                        }
                    }
                }
                Ok(shown)
            }
        }
    }

    /// The labels that are columns of their own.
    pub(super) fn named(&self) -> impl Iterator<Item = &String> {
        let columns = if let Self::Each(columns) = self { columns.as_slice() } else { &[] };
        columns.iter().map(|(_, name)| name)
    }
}
