//! Several requests of one model, handed out one by one: what gives throughput.
//!
//! A request runs one run at a time. A [`RequestPool`] has some of them; who wants one [acquires](RequestPool::acquire) it,
//! waiting in line if none is idle, and gives it back by dropping it. A request that comes back with a run still under way
//! is handed out again when that has settled. [`RequestPool::run`] does it all: acquire, bind, start, wait, take the
//! outputs, give back.
//!
//! A request begins with its [variables](crate::state) at their initial values; who runs a sequence keeps one request for
//! all of it.
//!
//! The pool starts nothing by itself and has no threads. The line is served in order and is not bounded; whoever wants
//! fewer waiting asks [`RequestPool::idle`] first.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::future::Future;
use core::ops::{Deref, DerefMut};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use crate::device::CompiledModel;
use crate::executor::Lend;
use crate::pipeline::Pipeline;
use crate::port::{self, Port, PortError, PortKey, Side};
use crate::request::{BindError, InferError, PrepareError, Request, RunId, Settled, Status};
use crate::sync::Lock;
use crate::tensor::Tensor;
use crate::value::Value;

/// Requests of one model. Cheap to clone; all clones share the requests. See the [module](self).
#[derive(Clone)]
pub struct RequestPool(Arc<Pool>);

struct Pool {
    model: Arc<dyn CompiledModel>,
    size: usize,
    state: Lock<State>,
}

struct State {
    idle: Vec<Request>,
    /// Given back with a run under way, and what waits for its end.
    returning: Vec<(Request, Settled)>,
    /// Who waits for a request, in order.
    line: VecDeque<(u64, Waker)>,
    next_ticket: u64,
}

impl RequestPool {
    /// A pool of `size` requests, at least one, each with all the memory that its runs will need.
    pub fn new(
        model: Arc<dyn CompiledModel>,
        pipeline: Arc<Pipeline>,
        size: usize,
    ) -> Result<RequestPool, PrepareError> {
        let size = size.max(1);
        let requests = (0..size).map(|_| Request::new(model.clone(), pipeline.clone()));
        let idle = requests.collect::<Result<Vec<_>, _>>()?;
        let returning = Vec::with_capacity(size);
        let state = State { idle, returning, line: VecDeque::with_capacity(size), next_ticket: 0 };
        Ok(RequestPool(Arc::new(Pool { model, size, state: Lock::new(state) })))
    }

    /// How many requests there are.
    pub fn size(&self) -> usize {
        self.0.size
    }

    /// How many requests are idle at this moment.
    pub fn idle(&self) -> usize {
        self.0.state.with(|state| state.idle.len())
    }

    /// How many wait in line at this moment.
    pub fn waiting(&self) -> usize {
        self.0.state.with(|state| state.line.len())
    }

    /// The compiled model.
    pub fn model(&self) -> &Arc<dyn CompiledModel> {
        &self.0.model
    }

    /// An idle request, if there is one and nobody waits in line.
    pub fn try_acquire(&self) -> Option<Pooled> {
        let request = self.0.state.with(|state| if state.line.is_empty() { state.idle.pop() } else { None });
        request.map(|request| Pooled::new(request, self.0.clone()))
    }

    /// Waits in line for an idle request. The place in line is taken at the first poll.
    pub fn acquire(&self) -> Acquire {
        Acquire { pool: self.0.clone(), ticket: None }
    }

    /// Runs the model once on the next idle request: binds the inputs, starts, waits, and gives the outputs.
    ///
    /// Every input must be named, but those that may be absent. Dropping the future cancels the run.
    pub fn run<K: PortKey, V: Into<Value>>(&self, inputs: impl IntoIterator<Item = (K, V)>) -> PoolRun {
        let stage = match self.sort(inputs) {
            Ok(inputs) => Stage::Waiting(self.acquire(), inputs),
            Err(error) => Stage::Over(Some(error.into())),
        };
        PoolRun { stage }
    }

    /// The inputs of a run by index. What the request's last user left bound must not be taken for an input.
    fn sort<K: PortKey, V: Into<Value>>(
        &self,
        inputs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Vec<(usize, Value)>, BindError> {
        let ports = self.0.model.inputs();
        let mut sorted = Vec::with_capacity(ports.len());
        for (key, value) in inputs {
            sorted.push((port::find(Side::Input, ports, key)?.index, value.into()));
        }
        for port in ports {
            match sorted.iter().any(|(index, _)| *index == port.index) {
                true => {}
                false if port.kind.is_optional() => sorted.push((port.index, Value::Absent)),
                false => return Err(BindError::Missing { port: port.into() }),
            }
        }
        Ok(sorted)
    }
}

impl core::fmt::Debug for RequestPool {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "RequestPool({} idle of {})", self.idle(), self.size())
    }
}

impl Pool {
    /// Puts a request back in, now or when its run has settled.
    fn give_back(self: &Arc<Self>, request: Request) {
        if !is_idle(&request) {
            let settled = request.observer().settled();
            self.state.with(|state| state.returning.push((request, settled)));
            return self.collect();
        }
        let next = self.state.with(|state| {
            state.idle.push(request);
            state.next_in_line()
        });
        if let Some(next) = next {
            next.wake();
        }
    }

    /// Moves what has settled among the returning requests to the idle ones.
    fn collect(self: &Arc<Self>) {
        let waker = Waker::from(self.clone());
        let mut cx = Context::from_waker(&waker);
        let next = self.state.with(|state| {
            let mut index = 0;
            while index < state.returning.len() {
                let (request, settled) = &mut state.returning[index];
                // The run whose end was waited for may have begun another.
                while Pin::new(&mut *settled).poll(&mut cx).is_ready() && !is_idle(request) {
                    *settled = request.observer().settled();
                }
                if is_idle(request) {
                    let (request, _) = state.returning.swap_remove(index);
                    state.idle.push(request);
                } else {
                    index += 1;
                }
            }
            state.next_in_line()
        });
        if let Some(next) = next {
            next.wake();
        }
    }
}

impl Wake for Pool {
    fn wake(self: Arc<Self>) {
        self.collect();
    }
}

impl State {
    /// The waker of the first in line, when there is a request for them.
    fn next_in_line(&self) -> Option<Waker> {
        if self.idle.is_empty() { None } else { self.line.front().map(|(_, waker)| waker.clone()) }
    }
}

fn is_idle(request: &Request) -> bool {
    matches!(request.status(), Status::Fresh | Status::Settled(_))
}

/// A request on loan from a pool. Dropping it gives it back, also while a run of it is under way.
pub struct Pooled {
    /// `None` only while being dropped.
    request: Option<Request>,
    pool: Arc<Pool>,
}

impl Pooled {
    /// Lends a request that is idle. What its last user made it remember is nobody else's.
    fn new(mut request: Request, pool: Arc<Pool>) -> Pooled {
        let reset = request.reset_variables();
        debug_assert!(reset.is_ok(), "only an idle request is lent");
        Pooled { request: Some(request), pool }
    }
}

impl Deref for Pooled {
    type Target = Request;

    fn deref(&self) -> &Request {
        self.request.as_ref().expect("there until dropped")
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut Request {
        self.request.as_mut().expect("there until dropped")
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            self.pool.give_back(request);
        }
    }
}

/// Waits in line for a request; made by [`RequestPool::acquire`]. Dropping it leaves the line.
#[must_use = "a future does nothing unless polled"]
pub struct Acquire {
    pool: Arc<Pool>,
    ticket: Option<u64>,
}

impl Future for Acquire {
    type Output = Pooled;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Pooled> {
        let ticket = self.ticket;
        let fresh = cx.waker().clone();
        let (request, ticket, unused) = self.pool.state.with(|state| {
            let turn = match (ticket, state.line.front()) {
                (None, first) => first.is_none(),
                (Some(ticket), first) => first.is_some_and(|(first, _)| *first == ticket),
            };
            if turn && let Some(request) = state.idle.pop() {
                let mine = ticket.and_then(|_| state.line.pop_front());
                return (Some((request, state.next_in_line())), None, mine.map(|(_, waker)| waker));
            }
            let Some(ticket) = ticket else {
                let ticket = state.next_ticket;
                state.next_ticket += 1;
                state.line.push_back((ticket, fresh));
                return (None, Some(ticket), None);
            };
            let mine = state.line.iter_mut().find(|(other, _)| *other == ticket);
            let old = mine.map(|(_, waker)| core::mem::replace(waker, fresh));
            (None, Some(ticket), old)
        });
        // Dropped, like the waker below is woken, outside the lock.
        drop(unused);
        self.ticket = ticket;
        let Some((request, next)) = request else { return Poll::Pending };
        if let Some(next) = next {
            next.wake();
        }
        Poll::Ready(Pooled::new(request, self.pool.clone()))
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let (left, next) = self.pool.state.with(|state| {
            let place = state.line.iter().position(|(other, _)| *other == ticket);
            (place.and_then(|place| state.line.remove(place)), state.next_in_line())
        });
        drop(left);
        if let Some(next) = next {
            next.wake();
        }
    }
}

/// One run on a request of a pool; made by [`RequestPool::run`]. Dropping it cancels the run.
#[must_use = "a future does nothing unless polled"]
pub struct PoolRun {
    stage: Stage,
}

enum Stage {
    Waiting(Acquire, Vec<(usize, Value)>),
    Running(Pooled, RunId),
    Over(Option<InferError>),
}

impl PoolRun {
    fn begin(request: &mut Request, inputs: Vec<(usize, Value)>) -> Result<RunId, InferError> {
        for (index, value) in inputs {
            request.set_value(index, value)?;
        }
        Ok(request.start_lending(&Lend::SERIAL)?.keep())
    }
}

impl Future for PoolRun {
    type Output = Result<Tensors, InferError>;

    /// # Panics
    /// When polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.stage {
                Stage::Waiting(acquire, inputs) => {
                    let Poll::Ready(mut request) = Pin::new(acquire).poll(cx) else { return Poll::Pending };
                    let inputs = core::mem::take(inputs);
                    self.stage = match PoolRun::begin(&mut request, inputs) {
                        Ok(run) => Stage::Running(request, run),
                        Err(error) => Stage::Over(Some(error)),
                    };
                }
                Stage::Running(request, run) => {
                    let Poll::Ready(result) = request.poll_kept(*run, cx) else { return Poll::Pending };
                    let result = result.map(|()| Tensors::take_from(request)).and_then(|taken| Ok(taken?));
                    self.stage = Stage::Over(None);
                    return Poll::Ready(result);
                }
                Stage::Over(error) => {
                    return Poll::Ready(Err(error.take().expect("polled after it was ready")));
                }
            }
        }
    }
}

impl Drop for PoolRun {
    fn drop(&mut self) {
        if let Stage::Running(request, run) = &mut self.stage {
            request.drop_kept(*run);
        }
    }
}

/// The outputs of a run, owned.
#[derive(Clone)]
pub struct Tensors {
    model: Arc<dyn CompiledModel>,
    values: Box<[Value]>,
}

impl Tensors {
    pub(crate) fn new(model: Arc<dyn CompiledModel>, values: Box<[Value]>) -> Tensors {
        Tensors { model, values }
    }

    fn take_from(request: &mut Request) -> Result<Tensors, BindError> {
        let count = request.outputs().len();
        let values = (0..count).map(|index| request.take_value(index)).collect::<Result<_, _>>()?;
        Ok(Tensors::new(request.model().clone(), values))
    }

    /// The tensor of an output.
    ///
    /// # Errors
    /// When there is no such output, or it is a sequence or absent: then [`Tensors::value`] has it.
    pub fn get(&self, key: impl PortKey) -> Result<&Tensor, PortError> {
        let port = port::find(Side::Output, self.ports(), key)?;
        self.values[port.index].tensor().ok_or_else(|| PortError::no_tensor(port))
    }

    /// What an output is, whatever its kind: a tensor, the tensors of a sequence, or nothing.
    pub fn value(&self, key: impl PortKey) -> Result<&Value, PortError> {
        Ok(&self.values[port::find(Side::Output, self.ports(), key)?.index])
    }

    /// The outputs' ports, in the order of [`Tensors::get`] by index.
    pub fn ports(&self) -> &[Port] {
        self.model.outputs()
    }

    /// The tensors, in the order of the ports; those of a sequence one after the other.
    pub fn into_vec(self) -> Vec<Tensor> {
        let mut tensors = Vec::with_capacity(self.values.len());
        for value in self.values {
            match value {
                Value::Tensor(tensor) => tensors.push(tensor),
                Value::Sequence(several) => tensors.extend(several),
                Value::Absent => {}
            }
        }
        tensors
    }
}

impl core::fmt::Debug for Tensors {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let names = self.ports().iter().map(|port| &*port.name);
        f.debug_map().entries(names.zip(&self.values)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::request::InferErrorKind;
    use crate::request::testing::{Act, ByHand, Script};

    fn pool(model: &Arc<Script>, size: usize) -> (RequestPool, Arc<ByHand>) {
        let executor = Arc::new(ByHand::default());
        let pipeline = Pipeline::by_kind(&**model, |_| executor.clone());
        (RequestPool::new(model.clone(), Arc::new(pipeline), size).unwrap(), executor)
    }

    fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn ready<F: Future + Unpin>(mut future: F) -> F::Output {
        let Poll::Ready(output) = poll(&mut future) else { panic!("not ready") };
        output
    }

    fn input(value: f32) -> [(&'static str, Tensor); 1] {
        [("x", Tensor::from_slice(&[value; 2], [2]).unwrap())]
    }

    #[test]
    fn runs_overlap_as_far_as_there_are_requests_and_each_gets_its_own_result() {
        let (pool, executor) = pool(&Script::new(1), 2);
        let mut runs: Vec<_> = (0..5).map(|index| pool.run(input(index as f32))).collect();
        for run in &mut runs {
            assert!(poll(run).is_pending());
        }
        assert_eq!((executor.len(), pool.waiting()), (2, 3));
        for (index, mut run) in runs.into_iter().enumerate() {
            let tensors = loop {
                match poll(&mut run) {
                    Poll::Ready(tensors) => break tensors.unwrap(),
                    Poll::Pending => executor.drain(),
                }
            };
            let expected = index as f32 + 1.0;
            assert_eq!(tensors.get("y").unwrap().to_vec::<f32>().unwrap(), [expected, expected]);
        }
        assert_eq!((pool.idle(), pool.waiting()), (2, 0));
    }

    #[test]
    fn the_line_is_served_in_order_and_who_leaves_it_is_passed_over() {
        let (pool, _) = pool(&Script::new(1), 1);
        let first = ready(pool.acquire());
        let (mut second, mut third, mut fourth) = (pool.acquire(), pool.acquire(), pool.acquire());
        for waiting in [&mut second, &mut third, &mut fourth] {
            assert!(poll(waiting).is_pending());
        }
        drop(first);
        assert!(poll(&mut third).is_pending(), "the second comes first");
        assert!(pool.try_acquire().is_none(), "and nobody jumps the line");
        drop(second);
        let third = ready(third);
        assert!(poll(&mut fourth).is_pending());
        drop(third);
        ready(fourth);
    }

    #[test]
    fn the_first_in_line_is_woken_when_a_request_comes_back() {
        #[derive(Default)]
        struct Woken(Mutex<bool>);
        impl Wake for Woken {
            fn wake(self: Arc<Self>) {
                *self.0.lock().unwrap() = true;
            }
        }
        let (pool, _) = pool(&Script::new(1), 1);
        let held = ready(pool.acquire());
        let woken = Arc::new(Woken::default());
        let mut waiting = pool.acquire();
        let waker = woken.clone().into();
        assert!(Pin::new(&mut waiting).poll(&mut Context::from_waker(&waker)).is_pending());
        drop(held);
        assert!(*woken.0.lock().unwrap());
        ready(waiting);
    }

    #[test]
    fn a_request_that_comes_back_running_is_handed_out_when_it_has_settled() {
        let model = Script::new(1);
        model.then(Act::Park);
        let (pool, executor) = pool(&model, 1);
        let mut run = pool.run(input(0.0));
        assert!(poll(&mut run).is_pending());
        executor.drain();
        drop(run);
        assert_eq!(pool.idle(), 0, "the run was cancelled and is not over yet");
        let mut next = pool.run(input(1.0));
        assert!(poll(&mut next).is_pending());
        executor.drain();
        assert!(poll(&mut next).is_pending());
        executor.drain();
        assert_eq!(ready(next).unwrap().get(0).unwrap().to_vec::<f32>().unwrap(), [2.0, 2.0]);
    }

    #[test]
    fn a_failed_run_does_not_spoil_its_request() {
        let model = Script::new(1);
        model.then(Act::Fail);
        let (pool, executor) = pool(&model, 1);
        for expected in [Err(InferErrorKind::Operator), Ok(())] {
            let mut run = pool.run(input(0.0));
            assert!(poll(&mut run).is_pending());
            executor.drain();
            assert_eq!(ready(run).map(drop).map_err(|error| error.kind()), expected);
        }
    }

    #[test]
    fn a_wrong_input_is_an_error_of_its_run_only() {
        let (pool, executor) = pool(&Script::new(1), 1);
        let error = ready(pool.run([("z", Tensor::scalar(1f32))])).unwrap_err();
        assert_eq!(error.kind(), InferErrorKind::NotFound);
        let error = ready(pool.run::<usize, Tensor>([])).unwrap_err();
        assert_eq!(error.full_text(), "input #0 \"x\" was not given");
        let error = ready(pool.run([(0, Tensor::scalar(1f32))])).unwrap_err();
        assert_eq!(error.kind(), InferErrorKind::InvalidInput);
        let mut run = pool.run(input(0.0));
        assert!(poll(&mut run).is_pending());
        executor.drain();
        ready(run).unwrap();
    }

    #[test]
    fn a_run_of_a_pool_can_be_sent_to_another_thread_and_outlive_the_pool() {
        fn check<T: Send + 'static>(value: T) -> T {
            value
        }
        let (pool, executor) = pool(&Script::new(1), 1);
        let mut run = check(pool.run(input(0.0)));
        assert!(poll(&mut run).is_pending());
        drop(pool);
        executor.drain();
        ready(run).unwrap();
    }
}
