//! A model as steps over registers: what the chip executes.
//!
//! A register is a vector of f32: first those of the inputs, then one for each step. Shapes belong to a run: a program is
//! *fitted* to the shapes of its inputs, which says how long each register is and how operands are broadcast. Fitting takes
//! memory, executing again on the same shapes does not.

use std::sync::Arc;

use inferry_core::tensor::Shape;
use inferry_engine::graph::{Graph, ValueId};
use inferry_engine::op::{self, Binary, Unary};

use super::NotOnChip;
use crate::work::Values;

/// The steps of a model.
#[derive(Debug)]
pub(super) struct Program {
    steps: Vec<Step>,
    inputs: usize,
    outputs: Vec<usize>,
    constants: Vec<Constant>,
}

#[derive(Clone, Debug)]
struct Step {
    node: String,
    function: Function,
    operands: Vec<Operand>,
}

#[derive(Clone, Copy, Debug)]
enum Function {
    One(fn(f32) -> f32),
    Two(fn(f32, f32) -> f32),
}

#[derive(Clone, Copy, Debug)]
enum Operand {
    Register(usize),
    Constant(usize),
}

#[derive(Debug)]
struct Constant {
    values: Vec<f32>,
    shape: Shape,
}

/// True for operators of which the chip has a function.
pub(super) fn knows(op: &dyn op::Op) -> bool {
    function(op).is_some()
}

fn function(op: &dyn op::Op) -> Option<Function> {
    if op.downcast::<op::Identity>().is_some() {
        return Some(Function::One(|x| x));
    }
    if let Some(unary) = op.downcast::<Unary>() {
        return Some(Function::One(match unary {
            Unary::Relu => |x| x.max(0.0),
            Unary::Neg => |x| -x,
            Unary::Abs => f32::abs,
            Unary::Exp => f32::exp,
            Unary::Sqrt => f32::sqrt,
            Unary::Tanh => f32::tanh,
            Unary::Sigmoid => |x| 1.0 / (1.0 + (-x).exp()),
            _ => return None,
        }));
    }
    Some(Function::Two(match op.downcast::<Binary>()? {
        Binary::Add => |a, b| a + b,
        Binary::Sub => |a, b| a - b,
        Binary::Mul => |a, b| a * b,
        Binary::Div => |a, b| a / b,
        Binary::PRelu => |x, slope| if x < 0.0 { x * slope } else { x },
        _ => return None,
    }))
}

impl Program {
    pub(super) fn new(graph: &Graph) -> Result<Program, NotOnChip> {
        let mut program = Program {
            steps: Vec::new(),
            inputs: graph.inputs.len(),
            outputs: Vec::new(),
            constants: Vec::new(),
        };
        let mut registers: Vec<Option<usize>> = vec![None; graph.values().len()];
        for (register, id) in graph.inputs.iter().enumerate() {
            registers[id.index()] = Some(register);
        }
        for node in &graph.nodes {
            let refused = || NotOnChip { node: graph.describe(node) };
            let function = function(&*node.op).ok_or_else(refused)?;
            let count = if let Function::One(_) = function { 1 } else { 2 };
            let read = |id: &Option<ValueId>| program.operand(graph, &registers, (*id)?);
            let operands: Option<Vec<Operand>> = node.inputs.iter().take(count).map(read).collect();
            let operands = operands.filter(|operands| operands.len() == count).ok_or_else(refused)?;
            let output = node.outputs.first().copied().flatten().ok_or_else(refused)?;
            registers[output.index()] = Some(program.inputs + program.steps.len());
            program.steps.push(Step { node: node.name.to_string(), function, operands });
        }
        for id in &graph.outputs {
            let register = registers[id.index()];
            program.outputs.push(register.ok_or_else(|| NotOnChip { node: graph.describe_value(*id) })?);
        }
        Ok(program)
    }

    fn operand(&mut self, graph: &Graph, registers: &[Option<usize>], id: ValueId) -> Option<Operand> {
        if let Some(register) = registers[id.index()] {
            return Some(Operand::Register(register));
        }
        let tensor = graph.constant(id)?;
        self.constants.push(Constant { values: tensor.to_vec().ok()?, shape: tensor.shape().clone() });
        Some(Operand::Constant(self.constants.len() - 1))
    }

    /// How many registers there are.
    pub(super) fn registers(&self) -> usize {
        self.inputs + self.steps.len()
    }

    /// The registers of the outputs.
    pub(super) fn outputs(&self) -> &[usize] {
        &self.outputs
    }

    /// The program for inputs of these shapes.
    pub(super) fn fit(self: &Arc<Program>, inputs: Vec<Shape>) -> Result<Fitted, Misfit> {
        let mut shapes = inputs.clone();
        let mut steps = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let of = |operand: &Operand| match operand {
                Operand::Register(register) => &shapes[*register],
                Operand::Constant(constant) => &self.constants[*constant].shape,
            };
            let operands: Vec<&Shape> = step.operands.iter().map(of).collect();
            let shape = broadcast(&operands).ok_or_else(|| Misfit {
                node: step.node.clone(),
                shapes: operands.iter().map(|shape| shape.to_string()).collect::<Vec<_>>().join(" and "),
            })?;
            steps.push(operands.iter().map(|operand| strides(operand, &shape)).collect());
            shapes.push(shape);
        }
        Ok(Fitted { program: self.clone(), inputs, shapes, steps })
    }
}

/// Shapes that do not fit each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shapes} cannot be computed with each other")]
pub(super) struct Misfit {
    pub(super) node: String,
    shapes: String,
}

/// A program for inputs of certain shapes.
#[derive(Debug)]
pub(crate) struct Fitted {
    program: Arc<Program>,
    inputs: Vec<Shape>,
    /// Of each register.
    shapes: Vec<Shape>,
    /// Of each operand of each step: how far the next element of each dimension lies.
    steps: Vec<Vec<Vec<usize>>>,
}

impl Fitted {
    /// True when it is for inputs of these shapes.
    pub(super) fn fits<'a>(&self, shapes: impl Iterator<Item = &'a Shape>) -> bool {
        shapes.eq(&self.inputs)
    }

    /// The shape of a register.
    pub(super) fn shape(&self, register: usize) -> &Shape {
        &self.shapes[register]
    }

    /// Computes all registers from those of the inputs.
    pub(crate) fn execute(&self, values: &mut Values) {
        let Program { steps, inputs, constants, .. } = &*self.program;
        for (index, (step, strides)) in steps.iter().zip(&self.steps).enumerate() {
            let shape = &self.shapes[inputs + index];
            let mut result = std::mem::take(&mut values[inputs + index]);
            result.resize(shape.count(), 0.0);
            let operand = |operand: usize| match step.operands[operand] {
                Operand::Register(register) => &values[register][..],
                Operand::Constant(constant) => &constants[constant].values[..],
            };
            let at = |place: usize, strides: &[usize]| offset(place, shape, strides);
            match step.function {
                Function::One(function) => {
                    result.iter_mut().zip(operand(0)).for_each(|(result, value)| *result = function(*value));
                }
                Function::Two(function) => {
                    let (a, b) = (operand(0), operand(1));
                    for (place, result) in result.iter_mut().enumerate() {
                        *result = function(a[at(place, &strides[0])], b[at(place, &strides[1])]);
                    }
                }
            }
            values[inputs + index] = result;
        }
    }
}

/// The shape to which all of these can be stretched.
fn broadcast(shapes: &[&Shape]) -> Option<Shape> {
    let rank = shapes.iter().map(|shape| shape.rank()).max()?;
    let extent = |dim: usize| {
        let of = |shape: &&&Shape| (shape.rank() + dim).checked_sub(rank).map_or(1, |own| shape[own]);
        let most = shapes.iter().map(|shape| of(&shape)).find(|extent| *extent != 1).unwrap_or(1);
        shapes.iter().all(|shape| [1, most].contains(&of(&shape))).then_some(most)
    };
    Shape::new(&(0..rank).map(extent).collect::<Option<Vec<_>>>()?).ok()
}

/// How far the elements of `shape` lie apart when it is stretched to `whole`.
fn strides(shape: &Shape, whole: &Shape) -> Vec<usize> {
    let mut strides = vec![0; whole.rank()];
    let mut step = 1;
    for (own, extent) in shape.iter().enumerate().rev() {
        if *extent != 1 {
            strides[own + whole.rank() - shape.rank()] = step;
        }
        step *= extent;
    }
    strides
}

/// Where the element is that stands at `place` of the result.
fn offset(mut place: usize, shape: &Shape, strides: &[usize]) -> usize {
    let mut offset = 0;
    for (extent, stride) in shape.iter().zip(strides).rev() {
        offset += place % extent * stride;
        place /= extent;
    }
    offset
}
