//! Training and validation clips with their features.

use candle_core::Tensor;

use crate::learning::dataset::{Dataset, Problem, Sample, Split};
use crate::learning::features::Examples;
use crate::{Error, Result};

/// The clips that can be used.
pub(super) struct Parts<'a> {
    pub train: Part<'a>,
    pub validation: Part<'a>,
}

/// Training or validation clips.
pub(super) struct Part<'a> {
    pub samples: Vec<&'a Sample>,
    pub examples: Examples,
}

/// The training and validation clips of `data`.
pub(super) fn samples(data: &Dataset) -> impl Iterator<Item = &Sample> {
    data.samples.iter().filter(|sample| sample.split != Split::Test)
}

/// The background clips that training looks at; `features` are those of the [`samples`] of `data` and, behind them, theirs.
pub(super) fn background<'a>(
    data: &'a Dataset,
    features: &'a [Result<Tensor>],
) -> impl Iterator<Item = (&'a Sample, &'a Result<Tensor>)> {
    std::iter::zip(data.none.learned(), &features[samples(data).count()..])
}

impl<'a> Parts<'a> {
    /// `features` are those of the [`samples`] of `data`, in their order, and of its [`background`]. In a refit, validation
    /// clips are training clips, too. Clips without features come back as problems.
    ///
    /// # Errors
    /// Where a part has no clip that can be used.
    pub(super) fn new(
        data: &'a Dataset,
        features: &[Result<Tensor>],
        refit: bool,
    ) -> Result<(Self, Vec<Problem>)> {
        let mut problems = Vec::new();
        let mut parts = [(); 2].map(|()| (Vec::new(), Vec::new()));
        for (sample, features) in std::iter::zip(samples(data), features) {
            match features {
                Ok(features) => {
                    let validates = sample.split != Split::Train;
                    let trains = !validates || refit;
                    for (part, _) in parts.iter_mut().zip([trains, validates]).filter(|(_, takes)| *takes) {
                        part.0.push(sample);
                        part.1.push(features.clone());
                    }
                }
                Err(e) => problems.push(Problem::new(sample, e)),
            }
        }
        let [train, validation] = parts;
        let part = |(samples, features): (Vec<&'a Sample>, Vec<Tensor>), name: &str| {
            if features.is_empty() {
                let first = problems.first();
                let why =
                    first.map_or(String::new(), |first| format!("; the first that can't be used, {first}"));
                return Err(Error::data(&data.path, format!("no usable {name} clip{why}")));
            }
            let labels = samples.iter().map(|sample| sample.labels.clone()).collect();
            // Each is [windows, T', D].
            let features = Tensor::stack(&features, 0)?;
            let (windows, features) = (features.dim(1)?, features.flatten(1, 2)?);
            Ok(Part { samples, examples: Examples { features, windows, labels } })
        };
        let parts = Self { train: part(train, "training")?, validation: part(validation, "validation")? };
        let lost =
            |(clip, features): (&Sample, &Result<Tensor>)| Some(Problem::new(clip, features.as_ref().err()?));
        problems.extend(background(data, features).filter_map(lost));
        Ok((parts, problems))
    }
}
