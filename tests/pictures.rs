//! What a network is given of a picture, against what the image processors of transformers make of it.

use std::fs;
use std::path::Path;

use classify::internals::video::read_frames;
use classify::model::{CropSize, Preprocess, Resample, Sampling, Size};
use classify::{DecodeOptions, Device};
use image::RgbImage;
use safetensors::SafeTensors;

const CROP: CropSize = CropSize { height: 32, width: 32 };
const SQUASHED: Size = Size::Exact { height: 32, width: 32 };
const IMAGENET: ([f64; 3], [f64; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
const OPENAI: ([f64; 3], [f64; 3]) =
    ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]);
const HALF: ([f64; 3], [f64; 3]) = ([0.5; 3], [0.5; 3]);

fn short(shortest_edge: usize) -> Size {
    Size::ShortestEdge { shortest_edge }
}

/// The first picture of `common.frames` in `reference/common.py`.
fn picture(width: u32, height: u32) -> RgbImage {
    let value = |x, y, c: u32| ((3 * x + 5 * y + 64 * c + x * y / 8) % 256) as u8;
    RgbImage::from_fn(width, height, |x, y| image::Rgb([0, 1, 2].map(|c| value(x, y, c))))
}

#[test]
fn networks_are_given_what_transformers_gives_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/transformers");
    if !folder.is_dir() {
        println!("skipped: {} is not there", folder.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // ViViT's pictures go from -1 to 1 before they are normalised: its mean is 1 more.
    let vivit = ([1.5; 3], [0.5; 3]);
    let (pil, torchvision) = ("pil", "torchvision");
    for (case, of, size, resample, rescale, (mean, std)) in [
        ("videomae", pil, short(32), Resample::Bilinear, 1.0 / 255.0, IMAGENET),
        ("clip", pil, short(32), Resample::Bicubic, 1.0 / 255.0, OPENAI),
        ("siglip", pil, SQUASHED, Resample::Bicubic, 1.0 / 255.0, HALF),
        ("siglip2", pil, SQUASHED, Resample::Bilinear, 1.0 / 255.0, HALF),
        ("timesformer", pil, short(32), Resample::Bilinear, 1.0 / 255.0, ([0.45; 3], [0.225; 3])),
        ("vivit", pil, short(36), Resample::Bilinear, 1.0 / 127.5, vivit),
        ("xclip", pil, short(32), Resample::Bilinear, 1.0 / 255.0, IMAGENET),
        ("vjepa2", torchvision, short(36), Resample::Bilinear, 1.0 / 255.0, IMAGENET),
    ] {
        let preprocess = Preprocess {
            cut_bars: false,
            size,
            resample: Some(resample),
            crop_size: CROP,
            rescale_factor: rescale,
            image_mean: mean,
            image_std: std,
        };
        let recorded = fs::read(folder.join(case).join(format!("{of}.safetensors"))).unwrap();
        let recorded = SafeTensors::deserialize(&recorded).unwrap();
        for (width, height) in [(53, 37), (180, 120)] {
            let path = dir.path().join("picture.png");
            picture(width, height).save(&path).unwrap();
            let frames =
                read_frames(&path, &Sampling::spread(1, 1), &preprocess, &DecodeOptions::default()).unwrap();
            let got = preprocess.normalise(&frames, 0, &Device::Cpu).unwrap();
            // By channel, as PyTorch has it.
            let got = got.permute((0, 3, 1, 2)).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let bytes = recorded.tensor(&format!("{width}x{height}")).unwrap().data();
            let expected = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b));
            let far = got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // Torchvision rounds some pixels otherwise, to the next of the 256.
            let allowed = if of == pil { 1e-5 } else { 1.01 / (255.0 * 0.224) };
            assert!(far < allowed, "{case} {width}x{height}: {far}");
        }
    }
}
