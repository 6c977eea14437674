//! What a request asks for beside its clip: in its address, in a form's fields, or in its JSON.

use serde_json::Value;

use super::refusal::Refusal;

/// What is asked for; what isn't is as the command has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Wish {
    /// The model's name; the first one where there is none.
    pub model: Option<String>,
    /// How many labels.
    pub top_k: Option<usize>,
    /// The least score of a label.
    pub threshold: Option<f32>,
    /// What a clip is called that comes without a name.
    pub name: Option<String>,
    /// Whether a picture of some of the frames is wanted.
    pub filmstrip: bool,
    /// See [`crate::timeline::Options`].
    pub window: Option<f64>,
    pub no_cuts: bool,
}

/// All names, for the error of one that isn't.
const NAMES: &str = "model, top_k, threshold, name, filmstrip, window, cuts";

impl Wish {
    /// Takes the parameter `name` with its `value`.
    ///
    /// # Errors
    /// Where there is no such parameter, or no such value of it.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let wrong = |what: &str| Err(Refusal::senseless(format!("{name}={value}: must be {what}")));
        match name {
            "model" => self.model = Some(value.to_owned()),
            "name" => self.name = Some(value.to_owned()),
            "top_k" => match value.parse() {
                Ok(top) if top > 0 => self.top_k = Some(top),
                _ => return wrong("a whole number from 1"),
            },
            "threshold" => match value.parse() {
                Ok(threshold) if (0.0..=1.0).contains(&threshold) => self.threshold = Some(threshold),
                _ => return wrong("a number from 0 to 1"),
            },
            "window" => match value.parse() {
                Ok(window) if (0.1..=3600.0).contains(&window) => self.window = Some(window),
                _ => return wrong("between 0.1 and 3600 seconds"),
            },
            "filmstrip" | "cuts" => {
                let yes = match value {
                    "true" | "1" => true,
                    "false" | "0" => false,
                    _ => return wrong("true or false"),
                };
                if name == "cuts" { self.no_cuts = !yes } else { self.filmstrip = yes }
            }
            _ => {
                let reason = format!("there is no parameter {name}: there are {NAMES}");
                return Err(Refusal::senseless(reason));
            }
        }
        Ok(())
    }

    /// Takes a parameter of a JSON object; null is as if it weren't there.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub(super) fn set_json(&mut self, name: &str, value: &Value) -> Result<(), Refusal> {
        match value {
            Value::Null => Ok(()),
            Value::String(text) => self.set(name, text),
            Value::Number(_) | Value::Bool(_) => self.set(name, &value.to_string()),
            Value::Array(_) | Value::Object(_) => {
                Err(Refusal::senseless(format!("{name}: must be a text or a number")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_has_its_values() {
        let mut wish = Wish::default();
        for (name, value) in
            [("model", "a"), ("top_k", "3"), ("threshold", "0.25"), ("filmstrip", "true"), ("cuts", "false")]
        {
            wish.set(name, value).unwrap();
        }
        wish.set_json("window", &serde_json::json!(2.5)).unwrap();
        wish.set_json("top_k", &Value::Null).unwrap();
        let expected = Wish {
            model: Some("a".into()),
            top_k: Some(3),
            threshold: Some(0.25),
            name: None,
            filmstrip: true,
            window: Some(2.5),
            no_cuts: true,
        };
        assert_eq!(wish, expected);
        for (name, value) in [("top_k", "0"), ("top_k", "x"), ("threshold", "1.5"), ("threshold", "nan")] {
            let refusal = wish.set(name, value).unwrap_err();
            assert!(refusal.status == 400 && refusal.reason.contains("must be"), "{}", refusal.reason);
        }
        assert!(wish.set("topk", "1").unwrap_err().reason.contains("there is no parameter topk"));
    }
}
