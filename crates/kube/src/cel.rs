//! CEL expressions that select devices: read once, bounded, and asked of a device once.
//! Leaves out who asks. Types are not checked beforehand: the API server has done that, and a file's mistakes show when they are met.

use aisched_model::Str;
use aisched_model::devices::{Attribute, Device, Expression, Selector, View};
use kube_cel::KubeCelExt;
use kube_cel::cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, SelectExpr};
use kube_cel::cel::common::types::CelBool;
use kube_cel::cel::extractors::Arguments;
use kube_cel::cel::objects::{Key, Map};
use kube_cel::cel::parser::Parser;
use kube_cel::cel::{Context, ExecutionError, ResolveResult, Value};
use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

/// Longest expression that the API takes.
const LONGEST: usize = 10 * 1024;
/// Most steps that an expression may take on any device.
const MOST_STEPS: u64 = 1_000_000;
/// What a list that is not written out is taken to hold: more than the API lets a device have of anything.
const LIST: u64 = 64;
/// Answers that one expression keeps.
const MOST_ANSWERS: usize = 100_000;

/// Functions of Kubernetes' CEL.
static FUNCTIONS: LazyLock<Context<'static>> = LazyLock::new(|| {
    let mut context = Context::default().with_all();
    context.add_function(DOMAIN, domain);
    context
});

/// Expressions in use, by text: many claims have the same.
static KNOWN: LazyLock<Mutex<HashMap<String, Weak<Program>>>> = LazyLock::new(Mutex::default);

/// A selector, ready for use as far as it can be.
pub(crate) fn selector(text: Option<&str>) -> Selector {
    let Some(text) = text else {
        return Selector { text: None, expression: Err("CEL expression empty (unsupported selector type?)".into()) };
    };
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let expression = match known.get(text).and_then(Weak::upgrade) {
        Some(program) => Ok(program as Arc<dyn Expression>),
        None => read(text).map(|expression| {
            let program = Arc::new(Program { text: text.into(), expression, answers: Mutex::default() });
            known.retain(|_, program| program.strong_count() > 0);
            known.insert(text.to_owned(), Arc::downgrade(&program));
            program as Arc<dyn Expression>
        }),
    };
    Selector { text: Some(text.into()), expression: expression.map_err(Into::into) }
}

/// A device of this driver, as expressions see it.
pub(crate) fn view(driver: &str, device: &Device) -> View {
    View(Some(Arc::new(value(driver, device))))
}

/// A device, and whether it matches.
type Answer = (Weak<dyn Any + Send + Sync>, bool);

struct Program {
    text: Str,
    expression: IdedExpr,
    /// What was said of devices that are still there.
    answers: Mutex<HashMap<usize, Answer>>,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.text).finish()
    }
}

impl Expression for Program {
    fn matches(&self, driver: &str, device: &Device) -> Result<bool, String> {
        let Some(view) = &device.view.0 else { return self.ask(&value(driver, device)) };
        let key = Arc::as_ptr(view).cast::<()>() as usize;
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, answer)) = answers.get(&key)
            && known.upgrade().is_some_and(|known| Arc::ptr_eq(&known, view))
        {
            return Ok(*answer);
        }
        let answer = match view.downcast_ref::<Value>() {
            Some(value) => self.ask(value),
            None => self.ask(&value(driver, device)),
        }?;
        if answers.len() >= MOST_ANSWERS {
            answers.retain(|_, (known, _)| known.strong_count() > 0);
        }
        if answers.len() < MOST_ANSWERS {
            answers.insert(key, (Arc::downgrade(view), answer));
        }
        Ok(answer)
    }
}

impl Program {
    fn ask(&self, device: &Value) -> Result<bool, String> {
        let mut context = FUNCTIONS.new_inner_scope();
        context.add_variable_from_value("device", device.clone());
        match context.resolve(&self.expression) {
            Ok(Value::Bool(answer)) => Ok(answer),
            Ok(other) => Err(format!("CEL result of type {} could not be converted to bool", other.type_of())),
            Err(ExecutionError::NoSuchKey(key)) => Err(format!("no such key: {key}")),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Reads an expression that can be evaluated without harm.
fn read(text: &str) -> Result<IdedExpr, String> {
    if text.len() > LONGEST {
        return Err(format!("too long: {} bytes; at most {LONGEST} are allowed", text.len()));
    }
    let mut expression = Parser::new().parse(text).map_err(|errors| format!("compilation failed: {errors}"))?;
    rewrite(&mut expression)?;
    let steps = steps(&expression);
    if steps > MOST_STEPS {
        return Err(format!("too complex: may take {steps} steps; at most {MOST_STEPS} are allowed"));
    }
    Ok(expression)
}

/// Makes `cel.bind` what it stands for, has a domain that a device does not have be empty where it is looked into, and refuses what the
/// evaluation does not know.
fn rewrite(ided: &mut IdedExpr) -> Result<(), String> {
    if let Some(bound) = bind(&mut ided.expr)? {
        ided.expr = bound;
    }
    if let Expr::Call(call) = &mut ided.expr
        && call.func_name == "_[_]"
        && let [of, key] = call.args.as_mut_slice()
        && let Expr::Select(SelectExpr { operand, field, .. }) = &mut of.expr
        && matches!(&operand.expr, Expr::Ident(name) if name == "device")
        && matches!(field.as_str(), "attributes" | "capacity")
    {
        // A function of the same arguments, which does not fail for a domain that is not there.
        let (map, key) = (std::mem::take(of), std::mem::take(key));
        call.func_name = DOMAIN.into();
        call.args = vec![map, key];
    }
    children(&mut ided.expr).into_iter().try_for_each(rewrite)?;
    match &ided.expr {
        Expr::Struct(_) | Expr::Unspecified => Err("compilation failed: messages are not available here".into()),
        Expr::Ident(name) if name == "cel" => Err("compilation failed: undeclared reference to 'cel'".into()),
        _ => Ok(()),
    }
}

/// `cel.bind(name, value, body)` as the loop over nothing that the macro stands for.
fn bind(expr: &mut Expr) -> Result<Option<Expr>, String> {
    let Expr::Call(call) = expr else { return Ok(None) };
    let of_cel = call.target.as_ref().is_some_and(|target| matches!(&target.expr, Expr::Ident(name) if name == "cel"));
    if !of_cel || call.func_name != "bind" {
        return Ok(None);
    }
    let [name, value, body] = call.args.as_mut_slice() else {
        return Err("compilation failed: cel.bind() takes a name, a value and an expression".into());
    };
    let Expr::Ident(name) = &name.expr else {
        return Err("compilation failed: cel.bind() variable names must be simple identifiers".into());
    };
    let ided = |expr| IdedExpr { id: 0, expr };
    Ok(Some(Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range: ided(Expr::List(ListExpr::new(Vec::new()))),
        iter_var: "#unused".into(),
        iter_var2: None,
        accu_var: name.clone(),
        accu_init: std::mem::take(value),
        loop_cond: ided(Expr::Literal(LiteralValue::Boolean(CelBool::from(false)))),
        loop_step: ided(Expr::Ident(name.clone())),
        result: std::mem::take(body),
    }))))
}

/// The function that looks a domain up.
const DOMAIN: &str = "@domain";

/// What a device has of a domain: of one that it does not know, nothing.
fn domain(Arguments(args): Arguments) -> ResolveResult {
    match args.as_slice() {
        [Value::Map(domains), Value::String(name)] => Ok(domains.map.get(&Key::String(name.clone())).cloned().unwrap_or_else(|| map([]))),
        _ => Err(ExecutionError::NoSuchOverload),
    }
}

fn children(expr: &mut Expr) -> Vec<&mut IdedExpr> {
    match expr {
        Expr::Call(call) => call.target.as_deref_mut().into_iter().chain(&mut call.args).collect(),
        Expr::Comprehension(c) => {
            let c = &mut **c;
            vec![&mut c.iter_range, &mut c.accu_init, &mut c.loop_cond, &mut c.loop_step, &mut c.result]
        }
        Expr::List(list) => list.elements.iter_mut().collect(),
        Expr::Map(map) => map.entries.iter_mut().flat_map(|entry| entry_parts(&mut entry.expr)).collect(),
        Expr::Select(select) => vec![&mut select.operand],
        Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => Vec::new(),
    }
}

fn entry_parts(entry: &mut EntryExpr) -> Vec<&mut IdedExpr> {
    match entry {
        EntryExpr::MapEntry(entry) => vec![&mut entry.key, &mut entry.value],
        EntryExpr::StructField(field) => vec![&mut field.value],
    }
}

/// The most steps that an expression takes: a loop as many times its body as there can be elements.
fn steps(ided: &IdedExpr) -> u64 {
    let sum = |all: &mut dyn Iterator<Item = &IdedExpr>| all.map(steps).fold(1_u64, u64::saturating_add);
    match &ided.expr {
        Expr::Call(call) => sum(&mut call.target.as_deref().into_iter().chain(&call.args)),
        Expr::Comprehension(c) => {
            let turns = match &c.iter_range.expr {
                Expr::List(list) => list.elements.len() as u64,
                _ => LIST,
            };
            let body = steps(&c.loop_cond).saturating_add(steps(&c.loop_step));
            [steps(&c.iter_range), steps(&c.accu_init), turns.saturating_mul(body), steps(&c.result)]
                .into_iter()
                .fold(1, u64::saturating_add)
        }
        Expr::List(list) => sum(&mut list.elements.iter()),
        Expr::Map(map) => map.entries.iter().fold(1, |n, entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => n.saturating_add(steps(&entry.key)).saturating_add(steps(&entry.value)),
            EntryExpr::StructField(field) => n.saturating_add(steps(&field.value)),
        }),
        Expr::Select(select) => steps(&select.operand).saturating_add(1),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => 1,
    }
}

fn value(driver: &str, device: &Device) -> Value {
    let mut attributes: BTreeMap<&str, HashMap<Key, Value>> = BTreeMap::new();
    for (name, attribute) in &device.attributes {
        let value = match attribute {
            Attribute::Int(n) => Value::Int(*n),
            Attribute::Bool(b) => Value::Bool(*b),
            Attribute::Text(text) => text_value(text),
            Attribute::Version(version) => made_by("semver", version),
            Attribute::Unknown => Value::Null,
        };
        let (domain, id) = qualified(name, driver);
        attributes.entry(domain).or_default().insert(key(id), value);
    }
    let mut capacity: BTreeMap<&str, HashMap<Key, Value>> = BTreeMap::new();
    for (name, amount) in &device.capacity {
        let (domain, id) = qualified(name, driver);
        capacity.entry(domain).or_default().insert(key(id), made_by("quantity", &amount.value.text()));
    }
    let domains = |maps: BTreeMap<&str, HashMap<Key, Value>>| map(maps.into_iter().map(|(domain, values)| (key(domain), map(values))));
    map([
        (key("driver"), text_value(driver)),
        (key("allowMultipleAllocations"), Value::Bool(device.shared)),
        (key("attributes"), domains(attributes)),
        (key("capacity"), domains(capacity)),
    ])
}

/// A name without a domain is of the driver's.
fn qualified<'a>(name: &'a str, driver: &'a str) -> (&'a str, &'a str) {
    name.split_once('/').unwrap_or((driver, name))
}

fn key(text: &str) -> Key {
    Key::String(Arc::new(text.to_owned()))
}

fn text_value(text: &str) -> Value {
    Value::String(Arc::new(text.to_owned()))
}

fn map(pairs: impl IntoIterator<Item = (Key, Value)>) -> Value {
    Value::Map(Map { map: Arc::new(pairs.into_iter().collect()) })
}

/// What a function of Kubernetes' CEL makes of a text; nothing, if it cannot read it.
fn made_by(function: &str, text: &str) -> Value {
    let call = Parser::new().parse(&format!("{function}(text)"));
    let mut context = FUNCTIONS.new_inner_scope();
    context.add_variable_from_value("text", text_value(text));
    call.ok().and_then(|call| context.resolve(&call).ok()).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aisched_model::devices::{Amount, Capacity};

    fn gpu() -> Device {
        let attributes = [
            ("model", Attribute::Text("a100".into())),
            ("other.io/cores", Attribute::Int(8)),
            ("healthy", Attribute::Bool(true)),
            ("version", Attribute::Version("1.10.0".into())),
        ];
        let memory = Capacity { value: Amount::parse("40Gi").unwrap(), policy: None };
        let mut device = Device {
            attributes: attributes.into_iter().map(|(name, value)| (name.into(), value)).collect(),
            capacity: [("memory".into(), memory)].into(),
            shared: true,
            ..Device::default()
        };
        device.view = view("gpu.io", &device);
        device
    }

    fn says(text: &str) -> Result<bool, String> {
        selector(Some(text)).expression.map_err(|why| why.to_string())?.matches("gpu.io", &gpu())
    }

    #[test]
    fn expressions_see_a_device_as_in_kubernetes() {
        for (text, expected) in [
            ("device.driver == 'gpu.io'", true),
            ("device.driver == 'other'", false),
            ("device.attributes['gpu.io'].model == 'a100'", true),
            ("device.attributes['gpu.io'].model.startsWith('h')", false),
            ("device.attributes['other.io'].cores >= 8", true),
            ("device.attributes['gpu.io'].healthy && device.allowMultipleAllocations", true),
            ("device.attributes['gpu.io'].version.isGreaterThan(semver('1.9.0'))", true),
            ("device.attributes['gpu.io'].version.compareTo(semver('1.10.0')) == 0", true),
            ("device.capacity['gpu.io'].memory.compareTo(quantity('40Gi')) >= 0", true),
            ("device.capacity['gpu.io'].memory.isGreaterThan(quantity('64Gi'))", false),
            ("has(device.attributes['gpu.io'].model)", true),
            ("has(device.attributes['gpu.io'].none)", false),
            ("has(device.attributes['none.io'].none)", false),
            ("'none.io' in device.attributes", false),
            ("'none.io' in device.attributes && device.attributes['none.io'].x == 1", false),
            ("'other.io' in device.attributes", true),
            ("cel.bind(gpu, device.attributes['gpu.io'], gpu.healthy && gpu.model == 'a100')", true),
            ("cel.bind(a, 1, cel.bind(b, a + 1, b == 2))", true),
            ("device.attributes['gpu.io'].model in ['a100', 'h100']", true),
            ("['a', 'b'].exists(x, x == 'b')", true),
            ("true", true),
        ] {
            assert_eq!(says(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let long = format!("'{}' == ''", "x".repeat(LONGEST));
        for (text, part) in [
            ("device.attributes['gpu.io'].none == 1", "no such key: none"),
            ("device.attributes['none.io'].none == 1", "no such key: none"),
            ("device.driver", "CEL result of type string could not be converted to bool"),
            ("device.driver ==", "compilation failed"),
            ("Message{} == 1", "messages are not available here"),
            (&long, "too long"),
            (
                "device.attributes.all(a, device.attributes.all(b, device.attributes.all(c, device.attributes.all(d, a == b))))",
                "too complex",
            ),
        ] {
            let error = says(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn equal_expressions_are_read_once_and_asked_once_of_a_device() {
        let [a, b] = ["device.driver != ''", "device.driver != ''"].map(|text| selector(Some(text)).expression.unwrap());
        assert!(Arc::ptr_eq(&a, &b));
        let device = gpu();
        assert_eq!(a.matches("gpu.io", &device), Ok(true));
        assert_eq!(a.matches("", &device), Ok(true), "the view is what counts");
        assert_eq!(a.matches("", &Device { view: View::default(), ..device }), Ok(false));
    }
}
