//! The cryptography that connections are made with.

/// Has rustls use ring's, unless a program of the library's user has chosen another.
pub(crate) fn prepare() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
