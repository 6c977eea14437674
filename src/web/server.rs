//! A socket, and what answers on it until it is asked to stop.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use tokio::runtime::{Builder, Runtime};

use super::Access;
use crate::{Error, Result};

/// How often a server looks whether it was asked to stop.
const LOOK: Duration = Duration::from_millis(50);

/// A server that listens.
pub(crate) struct Server {
    runtime: Runtime,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Listens at `host` and `port`; 0 takes a free one.
    ///
    /// # Errors
    /// [`Error::Usage`] where that can't be, and what to do.
    pub(crate) fn bind(host: IpAddr, port: u16) -> Result<Self> {
        let at = SocketAddr::new(host, port);
        let refused = |e: std::io::Error| match e.kind() {
            ErrorKind::AddrInUse => {
                Error::Usage(format!("port {port} is taken: name another with --port, or 0 for a free one"))
            }
            ErrorKind::PermissionDenied => Error::Usage(format!(
                "port {port} is for the system's own services: name one above 1023 with --port"
            )),
            ErrorKind::AddrNotAvailable => Error::Usage(format!("{host} is no address of this machine")),
            _ => Error::Usage(format!("can't listen at {at}: {}", crate::error::plain(&e))),
        };
        let listener = TcpListener::bind(at).map_err(refused)?;
        let started = || -> std::io::Result<_> {
            listener.set_nonblocking(true)?;
            let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            Ok((runtime, listener.local_addr()?))
        };
        let (runtime, address) = started().map_err(refused)?;
        Ok(Self { runtime, listener, address })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers by `app` whoever has `access`, until `stop` is true; then takes no more, and ends when all that runs is
    /// answered, or after `patience`.
    ///
    /// # Errors
    /// [`Error::Usage`] where the system doesn't let it listen on.
    pub(crate) fn run(
        self,
        app: Router,
        access: Access,
        stop: Arc<AtomicBool>,
        patience: Duration,
    ) -> Result<()> {
        let Self { runtime, listener, address } = self;
        let app = access.guard(app, address.ip(), address.port());
        let stopped = move || {
            let stop = stop.clone();
            async move {
                while !stop.load(Ordering::Relaxed) {
                    tokio::time::sleep(LOOK).await;
                }
            }
        };
        let ended = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let serve = axum::serve(listener, app).with_graceful_shutdown(stopped());
            let late = async {
                stopped().await;
                tokio::time::sleep(patience).await;
            };
            tokio::select! {
                ended = serve.into_future() => ended,
                () = late => Ok(()),
            }
        });
        // A clip that is still being decoded is in a process of its own, which ends with this one.
        runtime.shutdown_background();
        ended.map_err(|e| Error::Usage(format!("can't serve at {address}: {}", crate::error::plain(&e))))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use axum::routing::get;

    use super::super::{Token, assets};
    use super::*;

    /// What the server at `address` answers to `GET path` with the lines `headers`.
    fn ask(address: SocketAddr, path: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn the_token_opens_the_door_and_what_runs_is_answered() {
        let slow = get(|| async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            "slow"
        });
        let app = assets(&[]).route("/slow", slow).route("/live", get(|| async { "alive" }));
        let server = Server::bind([127, 0, 0, 1].into(), 0).unwrap();
        let address = server.address();
        let taken = Server::bind(address.ip(), address.port()).err().unwrap().to_string();
        assert!(taken.contains("is taken"), "{taken}");
        let stop = Arc::new(AtomicBool::new(false));
        let access = Access { token: Some(Token::new("secret").unwrap()), open: &["/live"] };
        std::thread::scope(|scope| {
            let running = scope.spawn(|| server.run(app, access, stop.clone(), Duration::from_secs(60)));
            let with = "Authorization: Bearer secret\r\n";
            assert!(ask(address, "/page.css", "").starts_with("HTTP/1.1 401"));
            assert!(ask(address, "/page.css", "Authorization: Bearer secre\r\n").starts_with("HTTP/1.1 401"));
            assert!(ask(address, "/live", "").ends_with("alive"));
            let style = ask(address, "/page.css", with);
            assert!(
                style.starts_with("HTTP/1.1 200") && style.contains("text/css") && style.contains("nosniff"),
                "{style}"
            );
            let page = ask(address, "/page.css?token=secret", "");
            assert!(page.starts_with("HTTP/1.1 303") && page.contains("location: /page.css\r\n"), "{page}");
            let cookie = page.split("set-cookie: ").nth(1).unwrap().split(';').next().unwrap();
            assert!(
                ask(address, "/page.css", &format!("Cookie: a=b; {cookie}\r\n")).starts_with("HTTP/1.1 200")
            );
            let other = TcpStream::connect(address).and_then(|mut stream| {
                write!(stream, "GET /live HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer).map(|_| answer)
            });
            assert!(other.unwrap().starts_with("HTTP/1.1 421"));
            let late = scope.spawn(move || ask(address, "/slow", with));
            std::thread::sleep(Duration::from_millis(150));
            stop.store(true, Ordering::Relaxed);
            assert!(late.join().unwrap().ends_with("slow"));
            running.join().unwrap().unwrap();
        });
        assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    }
}
