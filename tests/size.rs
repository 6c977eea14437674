//! What the program weighs.

use std::fs;
use std::path::Path;

/// Each embedded model stands in the program once. A `const` in the wrong place copies it into every user.
#[test]
fn each_model_stands_in_the_program_once() {
    let program = fs::read(env!("CARGO_BIN_EXE_classify")).unwrap();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let mut seen = 0;
    for model in fs::read_dir(models).unwrap() {
        let weights = fs::read(model.unwrap().path().join("model.safetensors")).unwrap();
        // From the middle, where there are weights: no two models share so many.
        let piece = &weights[weights.len() / 2..][..64];
        let copies = memchr::memmem::find_iter(&program, piece).count();
        assert_eq!(copies, 1);
        seen += 1;
    }
    assert!(seen >= 3, "{seen} models");
}
