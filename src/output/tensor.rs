//! The very numbers that a network sees, for other programs to compare: safetensors, and NumPy's `.npy`.

use std::collections::HashMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, serialize};

/// `numbers` of this `shape` as a `.npy` file.
pub(crate) fn npy(shape: &[usize], numbers: &[f32]) -> Vec<u8> {
    let sides: Vec<String> = shape.iter().map(ToString::to_string).collect();
    // A comma makes one number a tuple.
    let shape = sides.join(", ") + if sides.len() == 1 { "," } else { "" };
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    // The numbers begin at a multiple of 64 bytes: ten stand before the header, and a line break ends it.
    let length = (10 + header.len() + 1).next_multiple_of(64) - 10;
    let header = format!("{header:<width$}\n", width = length - 1);
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.bytes());
    file.extend(bytes(numbers.iter().map(|x| x.to_le_bytes())));
    file
}

/// `numbers` of this `shape` as the tensor `frames` of a safetensors file, and `times`, which have its first two
/// dimensions.
pub(crate) fn safetensors(
    shape: &[usize],
    numbers: &[f32],
    times: &[f64],
    metadata: HashMap<String, String>,
) -> Result<Vec<u8>, SafeTensorError> {
    let numbers: Vec<u8> = bytes(numbers.iter().map(|x| x.to_le_bytes()));
    let times: Vec<u8> = bytes(times.iter().map(|t| t.to_le_bytes()));
    let frames = TensorView::new(Dtype::F32, shape.to_vec(), &numbers)?;
    let times = TensorView::new(Dtype::F64, shape[..2].to_vec(), &times)?;
    serialize([("frames", frames), ("times", times)], Some(metadata))
}

fn bytes<const N: usize>(numbers: impl Iterator<Item = [u8; N]>) -> Vec<u8> {
    numbers.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn npy_is_as_numpy_writes_it() {
        // numpy.save of numpy.float32([[1, 2, -0.5]]).
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }";
        let mut expected = [&b"\x93NUMPY\x01\x00\x76\x00"[..], header.as_bytes()].concat();
        expected.resize(127, b' ');
        expected.push(b'\n');
        expected.extend([0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 0, 0, 0, 0xbf]);
        assert_eq!(npy(&[1, 3], &[1.0, 2.0, -0.5]), expected);
        // Whatever the header's length.
        for shape in [vec![7], vec![1; 9], vec![123_456; 5]] {
            let file = npy(&shape, &[]);
            assert!(file.len().is_multiple_of(64) && file.ends_with(b"\n"), "{shape:?}");
        }
    }
}
