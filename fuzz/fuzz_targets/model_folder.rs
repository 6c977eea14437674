//! The model loader on arbitrary files: an error in words, or a model, and nothing else.
//!
//! Input: config.json and preprocessor_config.json, each ended by a zero byte, then model.safetensors.
#![no_main]

use std::path::Path;

use candle_core::Device;
use classify::Classifier;
use classify::model::ModelFolder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(3, |byte| *byte == 0);
    let [Some(config), Some(preprocess), Some(weights)] = [parts.next(), parts.next(), parts.next()] else { return };
    let path = Path::new("fuzzed");
    if let Ok(folder) =
        ModelFolder::from_bytes(path, config, preprocess, weights, String::new(), &Device::Cpu)
    {
        let _ = Classifier::new(&folder, &Device::Cpu);
    }
});
