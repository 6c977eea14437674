//! A growing ONNX graph.

use std::collections::HashSet;

use candle_core::{Device, Error, Result, Tensor};

use super::proto::{Attribute, Dimension, GraphProto, Node, Shape, TensorProto, TensorType, Type, ValueInfo};
use crate::model::Weights;

const FLOAT: i32 = 1;
const INT64: i32 = 7;

/// Collects nodes in order; a value is named by the node that makes it.
pub(super) struct Graph<'a> {
    weights: &'a Weights,
    graph: GraphProto,
    /// Weights that are in the graph already.
    stored: HashSet<String>,
}

/// The value of a node's attribute.
pub(super) enum Value {
    Float(f32),
    Int(i64),
    Ints(Vec<i64>),
}

impl<'a> Graph<'a> {
    pub(super) fn new(weights: &'a Weights) -> Self {
        Self { weights, graph: GraphProto::default(), stored: HashSet::new() }
    }

    /// Appends a node with one output and returns that output's name.
    pub(super) fn node(&mut self, op: &str, inputs: &[&str], attributes: &[(&str, Value)]) -> String {
        let name = format!("{op}_{}", self.graph.node.len());
        self.graph.node.push(Node {
            input: inputs.iter().map(|name| name.to_string()).collect(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: op.into(),
            attribute: attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
        });
        name
    }

    /// The model's own tensor.
    pub(super) fn weight(&self, name: &str) -> Result<&'a Tensor> {
        let missing = || Error::Msg(format!("tensor {name} is missing in model.safetensors"));
        self.weights.0.get(name).ok_or_else(missing)
    }

    /// Puts the model's own tensor into the graph, under its own name.
    pub(super) fn stored(&mut self, name: &str) -> Result<String> {
        let tensor = self.weight(name)?;
        if self.stored.insert(name.to_owned()) {
            self.push(name.to_owned(), tensor)?;
        }
        Ok(name.to_owned())
    }

    /// Puts numbers into the graph.
    pub(super) fn constant(&mut self, tensor: &Tensor) -> Result<String> {
        let name = format!("constant_{}", self.graph.initializer.len());
        self.push(name.clone(), tensor)?;
        Ok(name)
    }

    /// The same, where the model has such a tensor.
    pub(super) fn stored_if(&mut self, name: &str) -> Result<Option<String>> {
        self.weights.0.contains_key(name).then(|| self.stored(name)).transpose()
    }

    /// A node of `x` and one number.
    pub(super) fn with_number(&mut self, op: &str, x: &str, number: f32) -> Result<String> {
        let number = self.constant(&Tensor::new(number, &Device::Cpu)?)?;
        Ok(self.node(op, &[x, &number], &[]))
    }

    /// Puts whole numbers into the graph, such as a shape.
    pub(super) fn integers(&mut self, values: &[i64]) -> String {
        let name = format!("constant_{}", self.graph.initializer.len());
        self.graph.initializer.push(TensorProto {
            dims: vec![values.len() as i64],
            data_type: INT64,
            name: name.clone(),
            raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        });
        name
    }

    pub(super) fn reshape(&mut self, x: &str, shape: &[usize]) -> String {
        self.shaped("Reshape", x, shape)
    }

    /// Repeats `x` until it is of `shape`.
    pub(super) fn expand(&mut self, x: &str, shape: &[usize]) -> String {
        self.shaped("Expand", x, shape)
    }

    fn shaped(&mut self, op: &str, x: &str, shape: &[usize]) -> String {
        let shape: Vec<i64> = shape.iter().map(|n| *n as i64).collect();
        let shape = self.integers(&shape);
        self.node(op, &[x, &shape], &[])
    }

    pub(super) fn transpose(&mut self, x: &str, order: &[i64]) -> String {
        self.node("Transpose", &[x], &[("perm", Value::Ints(order.to_vec()))])
    }

    /// What stands from `start` up to `end` along one axis.
    pub(super) fn slice(&mut self, x: &str, axis: i64, [start, end]: [usize; 2]) -> String {
        let [starts, ends, axes] = [start as i64, end as i64, axis].map(|n| self.integers(&[n]));
        self.node("Slice", &[x, &starts, &ends, &axes], &[])
    }

    /// The finished graph from `input` (name and shape) to `output` (value, its name outside, shape).
    pub(super) fn finish(
        mut self,
        name: &str,
        input: (&str, Vec<usize>),
        output: (&str, &str, Vec<usize>),
    ) -> GraphProto {
        let (value, outside, shape) = output;
        for made in self.graph.node.iter_mut().flat_map(|node| &mut node.output) {
            if made == value {
                *made = outside.to_owned();
            }
        }
        self.graph.name = name.to_owned();
        self.graph.input = vec![value_info(input.0, &input.1)];
        self.graph.output = vec![value_info(outside, &shape)];
        self.graph
    }

    fn push(&mut self, name: String, tensor: &Tensor) -> Result<()> {
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        self.graph.initializer.push(TensorProto {
            dims: tensor.dims().iter().map(|n| *n as i64).collect(),
            data_type: FLOAT,
            name,
            raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        });
        Ok(())
    }
}

fn attribute(name: &str, value: &Value) -> Attribute {
    let base = Attribute { name: name.into(), ..Attribute::default() };
    match value {
        Value::Float(f) => Attribute { f: *f, r#type: 1, ..base },
        Value::Int(i) => Attribute { i: *i, r#type: 2, ..base },
        Value::Ints(ints) => Attribute { ints: ints.clone(), r#type: 7, ..base },
    }
}

fn value_info(name: &str, shape: &[usize]) -> ValueInfo {
    let dim = shape.iter().map(|n| Dimension { dim_value: *n as i64 }).collect();
    let tensor = TensorType { elem_type: FLOAT, shape: Some(Shape { dim }) };
    ValueInfo { name: name.into(), r#type: Some(Type { tensor_type: Some(tensor) }) }
}
