//! `inferry export`: a model compiled once, as a file that the other commands take as a model.

use std::error::Error;
use std::fs::{self, File};

use inferry::Options;
use inferry::npz::Arrays;

use crate::session::Session;
use crate::{Export, about, fixture};

/// Compiles, runs once when there are inputs, and writes.
pub fn export(args: &Export) -> Result<(), Box<dyn Error>> {
    let session = Session::open(&args.model, Options::latency(), args.threads, None)?;
    if let Some(npz) = &args.npz {
        let arrays = Arrays::open(npz).map_err(about(npz))?;
        let inputs = fixture::inputs(&arrays, session.inputs()).map_err(about(npz))?;
        let mut request = session.request()?;
        for (index, tensor) in inputs.into_iter().enumerate() {
            request.set_input(index, tensor)?;
        }
        request.infer().map_err(about(&args.model))?;
    } else if session.inputs().iter().any(|port| port.shape.fixed().is_none()) {
        eprintln!(
            "inferry: the shapes of the inputs are open: with --npz the file holds packed weights, too, and loads faster"
        );
    }
    // Beside it first: whoever reads the old file goes on doing so.
    let beside = args.out.with_extension("part");
    let written = File::create(&beside).map_err(about(&beside)).and_then(|file| {
        session.export(file).map_err(about(&beside))?;
        fs::rename(&beside, &args.out).map_err(about(&args.out))
    });
    if written.is_err() {
        _ = fs::remove_file(&beside);
    }
    written?;
    let bytes = fs::metadata(&args.out).map_err(about(&args.out))?.len();
    println!("{}: {:.1} MB", args.out.display(), bytes as f64 / 1e6);
    Ok(())
}
