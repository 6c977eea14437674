//! What one process keeps to talk to stores with.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use object_store::ObjectStore;
use tokio::runtime::{Builder, Runtime};

use super::Object;

/// Made when the first address comes in.
pub(super) struct Process {
    /// Waits for answers.
    pub runtime: Runtime,
    /// By their roots; each keeps connections and credentials.
    stores: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
    /// Objects that are being read: a clip is opened anew for each way of looking at it.
    objects: Mutex<HashMap<PathBuf, Weak<Object>>>,
}

/// This process's. A copy of a process (`fork`) has neither its threads nor connections of its own: it begins anew, and
/// leaves what it has a copy of alone.
pub(super) fn process() -> io::Result<&'static Process> {
    static PROCESS: Mutex<Option<(u32, &'static Process)>> = Mutex::new(None);
    let mut known = lock(&PROCESS);
    let id = std::process::id();
    match *known {
        Some((of, process)) if of == id => Ok(process),
        _ => {
            let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            let process = Process { runtime, stores: Mutex::default(), objects: Mutex::default() };
            let process: &'static Process = Box::leak(Box::new(process));
            *known = Some((id, process));
            Ok(process)
        }
    }
}

impl Process {
    pub(super) fn stores(&self) -> MutexGuard<'_, HashMap<String, Arc<dyn ObjectStore>>> {
        lock(&self.stores)
    }

    pub(super) fn objects(&self) -> MutexGuard<'_, HashMap<PathBuf, Weak<Object>>> {
        lock(&self.objects)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
