//! Whether a path leads to a file that can be read, and where it doesn't, why.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::Path;

/// What stands at `path`: a file or a folder.
///
/// # Errors
/// Why it can't be read, in plain words. Opening a pipe that nobody writes to would wait forever, so pipes and
/// devices are refused.
pub(crate) fn regular(path: &Path) -> Result<Metadata, String> {
    match fs::metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Err(missing(path)),
        Err(e) if e.kind() == ErrorKind::PermissionDenied => Err("permission denied".into()),
        #[cfg(unix)]
        Err(e) if e.raw_os_error() == Some(libc::ELOOP) => Err("is a link that leads back to itself".into()),
        Err(e) => Err(e.to_string()),
        Ok(meta) if !meta.is_file() && !meta.is_dir() => Err("is a pipe or a device, not a file".into()),
        Ok(meta) => Ok(meta),
    }
}

/// Why nothing stands at `path`: it may be no path at all.
fn missing(path: &Path) -> String {
    let text = path.to_string_lossy();
    if let Some((scheme, _)) = text.split_once("://") {
        return match scheme {
            "http" | "https" | "ftp" => {
                format!("is an address, and only files are read: download it first (`curl -LO '{text}'`)")
            }
            "rtsp" | "rtmp" | "udp" | "srt" | "rtp" => format!(
                "is a stream, and only files are read: record some of it first \
                 (`ffmpeg -i '{text}' -t 60 -c copy clip.mkv`)"
            ),
            _ => "is an address, and only files are read: copy it to this machine first".into(),
        };
    }
    if cfg!(not(windows)) && text.contains('\\') {
        let turned = text.replace('\\', "/");
        if Path::new(&turned).exists() {
            return format!("no such file, but there is {turned}: write paths with / here");
        }
        return "no such file; it looks like a path of Windows, which means nothing here".into();
    }
    "no such file".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_path_says_what_to_do() {
        for (path, said) in [
            ("no/such.mp4", "no such file"),
            ("https://a.b/c.mp4", "curl -LO 'https://a.b/c.mp4'"),
            ("rtsp://cam/1", "ffmpeg -i 'rtsp://cam/1'"),
            ("s3://bucket/c.mp4", "copy it to this machine"),
            (r"C:\clips\a.mp4", "path of Windows"),
        ] {
            let reason = regular(Path::new(path)).unwrap_err();
            assert!(reason.contains(said), "{path}: {reason}");
        }
        assert!(regular(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap().is_dir());
    }

    #[cfg(unix)]
    #[test]
    fn a_path_with_the_wrong_strokes_names_the_right_one() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.mp4"), "x").unwrap();
        let wrong = format!(r"{}\a.mp4", folder.path().display());
        let reason = regular(Path::new(&wrong)).unwrap_err();
        assert!(reason.contains(&format!("there is {}/a.mp4", folder.path().display())), "{reason}");
    }
}
