//! Mistakes that do not compile: rows of the catalogue that the compiler proves.
//!
//! Each function here is a documentation test: what its first example does not say, the second one shows to compile, so that
//! it is the mistake that is refused and nothing else. Nothing here runs in the product.

/// T062: a limit is a `Duration`, and that is never negative.
///
/// ```compile_fail,E0600
/// # fn wait(request: &inferry::Request) {
/// request.wait_for(-std::time::Duration::from_millis(1));
/// # }
/// ```
/// ```
/// # fn wait(request: &inferry::Request) {
/// request.wait_for(std::time::Duration::from_millis(1));
/// # }
/// ```
pub fn a_limit_is_never_negative() {}

/// T073: a request has one owner, so nobody starts it twice at the same time; others have observers and cancellers.
///
/// ```compile_fail,E0599
/// # fn twice(request: inferry::Request) {
/// let other = request.clone();
/// # }
/// ```
/// ```
/// # fn watch(request: inferry::Request) {
/// let other = request.observer().clone();
/// # }
/// ```
pub fn a_request_has_one_owner() {}

/// T074: there is no request without a model, no model without a device, no tensor without elements to be.
///
/// ```compile_fail,E0599
/// inferry::Request::default();
/// ```
/// ```compile_fail,E0599
/// inferry::CompiledModel::default();
/// ```
/// ```compile_fail,E0599
/// inferry::Tensor::default();
/// ```
/// ```
/// inferry::Options::latency();
/// ```
pub fn there_is_no_empty_handle() {}

/// T080, T081: a variable without a tensor in it cannot be bound, as an input or as an output.
///
/// ```compile_fail,E0381
/// # fn bind(request: &mut inferry::Request) {
/// let tensor: inferry::Tensor;
/// request.set_input(0, tensor);
/// # }
/// ```
/// ```compile_fail,E0381
/// # fn bind(request: &mut inferry::Request) {
/// let tensor: inferry::Tensor;
/// request.set_output(0, tensor);
/// # }
/// ```
/// ```
/// # fn bind(request: &mut inferry::Request) {
/// let tensor: inferry::Tensor = inferry::Tensor::scalar(1.0_f32);
/// request.set_input(0, tensor);
/// # }
/// ```
pub fn there_is_no_uninitialised_tensor() {}

/// T268: a tensor that was given away cannot be looked at.
///
/// ```compile_fail,E0382
/// let tensor = inferry::Tensor::scalar(1.0_f32);
/// let other = tensor;
/// tensor.shape();
/// ```
/// ```
/// let tensor = inferry::Tensor::scalar(1.0_f32);
/// let other = tensor.clone();
/// tensor.shape();
/// ```
pub fn a_moved_tensor_is_gone() {}

/// T299: the requests of a pool are acquired, and have no index that could be past the end.
///
/// ```compile_fail,E0608
/// # fn last(pool: &inferry::RequestPool) {
/// pool[pool.size()];
/// # }
/// ```
/// ```
/// # fn last(pool: &inferry::RequestPool) {
/// pool.try_acquire();
/// # }
/// ```
pub fn a_pool_has_no_index() {}

/// T303: what is no tensor is no input.
///
/// ```compile_fail,E0277
/// # fn run(model: &inferry::CompiledModel) {
/// model.infer(["a text"]);
/// # }
/// ```
/// ```
/// # fn run(model: &inferry::CompiledModel) {
/// model.infer([inferry::Tensor::scalar(1.0_f32)]);
/// # }
/// ```
pub fn an_input_is_a_tensor() {}
