//! `classify_video._classify`: what the Python module `classify_video` needs of the program.
//!
//! No clip is read in Python's own process, as one may crash the decoder: [`workers`] hands clips to the program's
//! worker processes, and training and evaluation are the program's commands, run by [`command`] in a process of their
//! own. All else is Python (`../classify_video/`).

mod command;
mod errors;
mod workers;

use pyo3::prelude::*;

#[pymodule]
fn _classify(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<workers::Workers>()?;
    module.add_class::<workers::Ticket>()?;
    module.add_function(wrap_pyfunction!(workers::start_by, module)?)?;
    module.add_function(wrap_pyfunction!(command::main, module)?)?;
    module.add_function(wrap_pyfunction!(command::serve, module)?)?;
    module.add_function(wrap_pyfunction!(command::tell, module)?)
}
