//! The work of one request of the accelerator: upload, wait, download.

use std::sync::Arc;
use std::task::{Context, Poll};

use inferry_core::Turn;
use inferry_core::device::Work;
use inferry_core::request::{Bindings, Failure};

use super::program::{Fitted, Program};
use crate::chip::{Chip, Job};
use crate::work::{Values, read_input, wait_for, write_output};
use crate::{Executable, Form, Op};

/// The work of one request. See the [module](self).
pub(super) struct AcceleratorWork {
    program: Arc<Program>,
    chip: Arc<Chip>,
    form: Form,
    first: Vec<Op>,
    job: Arc<Job>,
    /// The registers, while they are not with the chip.
    values: Values,
    /// The program for the shapes of the run before, or of this one, and the job that executes it.
    fitted: Option<(Arc<Fitted>, Arc<Vec<Op>>)>,
}

impl AcceleratorWork {
    pub(super) fn new(program: Arc<Program>, chip: Arc<Chip>, form: Form, first: Vec<Op>) -> AcceleratorWork {
        AcceleratorWork { program, chip, form, first, job: Arc::default(), values: Vec::new(), fitted: None }
    }

    fn upload_and_start(&mut self, io: &Bindings) -> Result<(), Failure> {
        let shapes = || io.inputs().iter().map(|input| input.tensor().shape());
        if !self.fitted.as_ref().is_some_and(|(fitted, _)| fitted.fits(shapes())) {
            let fitted = self.program.fit(shapes().cloned().collect());
            let fitted = Arc::new(fitted.map_err(|misfit| {
                let node = misfit.node.clone();
                Failure::operator(misfit).at(node)
            })?);
            let ops = self.first.iter().cloned().chain([Op::Execute(Executable(fitted.clone()))]).collect();
            self.fitted = Some((fitted, Arc::new(ops)));
        }
        // A run that was given up may have left them with the chip.
        self.values.resize_with(self.program.registers(), Vec::new);
        for (input, values) in io.inputs().iter().zip(&mut self.values) {
            read_input(&self.chip, input, values)?;
        }
        let (_, ops) = self.fitted.as_ref().expect("fitted above");
        self.chip.submit(&self.job, ops, &mut self.values);
        Ok(())
    }

    fn download(&self, io: &mut Bindings) -> Result<(), Failure> {
        let (fitted, _) = self.fitted.as_ref().expect("fitted in the first stage");
        for (output, register) in io.split().1.iter_mut().zip(self.program.outputs()) {
            write_output(&self.chip, &self.values[*register], fitted.shape(*register), output)?;
        }
        Ok(())
    }
}

impl Work for AcceleratorWork {
    fn give_up(&mut self) {
        self.chip.forget(&self.job);
    }

    fn poll_stage(
        &mut self,
        stage: usize,
        io: &mut Bindings,
        turn: &Turn<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        match stage {
            0 => Poll::Ready(self.upload_and_start(io)),
            1 => wait_for(&self.job, self.form, &mut self.values, turn, cx),
            _ => Poll::Ready(self.download(io)),
        }
    }
}

impl Drop for AcceleratorWork {
    fn drop(&mut self) {
        self.chip.forget(&self.job);
    }
}
