//! The model loader on arbitrary files: an error in words, or a model, and nothing else.
//!
//! Input: config.json and preprocessor_config.json, each ended by a zero byte, then model.safetensors.
#![no_main]

use std::borrow::Cow;
use std::path::Path;

use candle_core::Device;
use classify::Classifier;
use classify::model::ModelFiles;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(3, |byte| *byte == 0);
    let [Some(config), Some(preprocess), Some(weights)] = [parts.next(), parts.next(), parts.next()] else {
        return;
    };
    let bytes = [config, preprocess, weights].map(|part| Cow::Owned(part.to_vec()));
    if let Ok(files) = ModelFiles::from_bytes(Path::new("fuzzed"), bytes, String::new())
        && let Ok(folder) = files.load(&Device::Cpu)
    {
        let _ = Classifier::new(&folder, &Device::Cpu);
    }
});
