//! Templates that were parsed together, and rendering them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferro_gocompat::path;
use ferro_template::{Functions, Map, MissingKey, Options, Templates, Text, Value};
use serde_json::{Map as JsonMap, Value as Json};

use super::ahead::Ahead;
use super::context::contexts;
use super::error::{execution_error, parse_error};
use super::functions::{self, ROOT, State, without_no_value};
use super::texts::Texts;
use super::{Environment, Error, Mode};
use crate::Notice;
use crate::chart::Chart;
use crate::manifest::is_partial;
use crate::values::{Instance, coalesce_values, to_map};

/// The functions that templates can call. Cloning is cheap.
#[derive(Clone)]
pub struct Engine {
    functions: Arc<Functions>,
}

impl Engine {
    /// Takes Helm's functions, which ask the environment for time and randomness.
    pub fn new(environment: Arc<dyn ferro_sprig::Environment>) -> Self {
        Self::with_functions(ferro_sprig::helm_functions(environment))
    }

    /// Takes the functions of the language and a library of them, and adds those that belong to a render:
    /// `include`, `tpl`, `required`, `fail`, `lookup`; `getHostByName` finds nothing.
    pub fn with_functions(library: Functions) -> Self {
        Self {
            functions: functions::complete(library),
        }
    }

    /// A set of templates without any yet.
    pub(super) fn empty_set(&self) -> Templates {
        Templates::new(ROOT, Arc::clone(&self.functions)).with_options(options(Mode::Normal))
    }
}

/// The parsed templates of a tree of charts. It is shared by all renders of the same tree.
pub struct Program {
    templates: Templates,
    sources: Vec<Source>,
    shape: Shape,
    texts: Arc<Texts>,
}

/// Which charts are where in a tree.
type Shape = Vec<(String, usize)>;

/// A template file.
struct Source {
    name: String,
    base_path: String,
    /// The place of its chart in the tree, counted from the root down.
    chart: usize,
}

impl Program {
    /// Parses the templates of a tree.
    pub fn compile(engine: &Engine, root: &Instance) -> Result<Self, Error> {
        Self::of_parsed(engine, root, ahead(engine, root))
    }

    /// Takes the templates that were parsed ahead, and parses those that were not.
    fn of_parsed(engine: &Engine, root: &Instance, ahead: Ahead) -> Result<Self, Error> {
        let (order, shape) = in_order(root);
        let mut templates = engine.empty_set();
        let texts: Vec<_> = order
            .iter()
            .map(|(name, (_, _, text))| (name.as_str(), *text))
            .collect();
        let parsed = ahead.finish(&texts);
        let mut sources = Vec::with_capacity(order.len());
        for ((name, (chart, base_path, _)), parsed) in order.into_iter().zip(parsed) {
            templates.add(&parsed.map_err(|error| parse_error(&name, &error))?);
            sources.push(Source {
                name,
                base_path,
                chart,
            });
        }
        Ok(Self {
            templates,
            sources,
            shape,
            texts: Arc::default(),
        })
    }

    /// Tells whether it is made of the same charts in the same places.
    pub fn fits(&self, root: &Instance) -> bool {
        let mut shape = Shape::new();
        collect_shape(root, &mut shape);
        shape == self.shape
    }

    /// Renders all templates that are not partials, over values that were coalesced.
    pub fn render(
        &self,
        root: &Instance,
        values: &Map,
        environment: &Environment,
        notices: &mut Vec<Notice>,
    ) -> Result<BTreeMap<String, Text>, Error> {
        let contexts = contexts(root, values, environment);
        let state = State::new(
            environment.mode,
            environment.lookup.clone(),
            Arc::clone(&self.texts),
        );
        let templates = match environment.mode {
            Mode::Strict => &self.templates.clone().with_options(options(Mode::Strict)),
            Mode::Normal | Mode::Lint => &self.templates,
        };
        let mut rendered = BTreeMap::new();
        for source in self.sources.iter().filter(|source| !is_partial(&source.name)) {
            let Some(context) = contexts.get(source.chart) else {
                continue;
            };
            context.insert("Template", template(source));
            let data = super::object::values(context);
            let output = templates
                .execute(&source.name, &data, &state)
                .map_err(|error| execution_error(&source.name, &error))?;
            rendered.insert(source.name.clone(), without_no_value(output));
        }
        notices.append(&mut state.notices.borrow_mut());
        Ok(rendered)
    }
}

fn options(mode: Mode) -> Options {
    Options {
        missing_key: match mode {
            Mode::Strict => MissingKey::Error,
            Mode::Normal | Mode::Lint => MissingKey::Zero,
        },
        ..Options::default()
    }
}

fn template(source: &Source) -> Value {
    super::object::values(&Map::from_iter([
        ("Name", Value::from(source.name.as_str())),
        ("BasePath", Value::from(source.base_path.as_str())),
    ]))
}

fn slashes(name: &str) -> usize {
    name.bytes().filter(|byte| *byte == b'/').count()
}

/// The templates of a tree, to be parsed.
fn ahead(engine: &Engine, root: &Instance) -> Ahead {
    let mut ahead = Ahead::new(engine);
    for (_, (_, _, text)) in in_order(root).0 {
        ahead.push_text(text);
    }
    ahead
}

/// The templates of a tree: the deepest and the last by name first, for later definitions replace earlier ones.
fn in_order(root: &Instance) -> (Vec<(String, SourceText<'_>)>, Shape) {
    let mut sources = BTreeMap::new();
    let mut shape = Shape::new();
    collect(root, &mut sources, &mut shape);
    let mut order: Vec<_> = sources.into_iter().collect();
    order.sort_by(|(a, _), (b, _)| (slashes(b), b).cmp(&(slashes(a), a)));
    (order, shape)
}

/// The place of its chart in the tree, the base path, and the text.
type SourceText<'c> = (usize, String, &'c Arc<[u8]>);
type Sources<'c> = BTreeMap<String, SourceText<'c>>;

fn collect<'c>(chart: &'c Instance, sources: &mut Sources<'c>, shape: &mut Shape) {
    let index = shape.len();
    shape.push(place(chart));
    for subchart in chart.dependencies() {
        collect(subchart, sources, shape);
    }
    let base_path = path::clean(&format!("{}/templates", chart.path()));
    let is_library = chart.chart().is_library();
    for file in &chart.chart().templates {
        if !is_library || is_partial(&file.name) {
            let name = path::clean(&format!("{}/{}", chart.path(), file.name));
            sources.insert(name, (index, base_path.clone(), &file.data));
        }
    }
}

fn collect_shape(chart: &Instance, shape: &mut Shape) {
    shape.push(place(chart));
    for subchart in chart.dependencies() {
        collect_shape(subchart, shape);
    }
}

fn place(chart: &Instance) -> (String, usize) {
    (chart.path().to_owned(), Arc::as_ptr(chart.chart()).addr())
}

/// Renders a chart again and again, and parses its templates once for each set of subcharts.
pub struct Renderer {
    engine: Engine,
    chart: Arc<Chart>,
    programs: Mutex<Vec<Arc<Program>>>,
    /// What is parsed for the first of them.
    ahead: Mutex<Option<Ahead>>,
}

/// How many sets of subcharts are kept parsed.
const KEPT_PROGRAMS: usize = 4;

impl Renderer {
    /// Takes a chart; nothing is parsed yet.
    pub fn new(engine: Engine, chart: Arc<Chart>) -> Self {
        Self {
            engine,
            chart,
            programs: Mutex::default(),
            ahead: Mutex::default(),
        }
    }

    /// Takes a chart whose templates are being parsed since it was read.
    #[must_use]
    pub fn with_ahead(self, ahead: Ahead) -> Self {
        Self {
            ahead: Mutex::new(Some(ahead)),
            ..self
        }
    }

    /// The chart.
    pub fn chart(&self) -> &Arc<Chart> {
        &self.chart
    }

    /// One of the same chart with other defaults; what is parsed is not shared.
    #[must_use]
    pub fn with_defaults(&self, values: JsonMap<String, Json>) -> Self {
        let mut chart = Chart::clone(&self.chart);
        chart.values = values;
        Self::new(self.engine.clone(), Arc::new(chart))
    }

    /// Returns the parsed templates of a tree that belongs to the chart.
    pub fn program(&self, root: &Instance) -> Result<Arc<Program>, Error> {
        self.parsed(root, || Program::compile(&self.engine, root))
    }

    /// Has the templates parsed by a second thread, if they are not yet, while `resolve` finds out which are needed.
    pub(crate) fn resolve_and_parse<T, E>(
        &self,
        resolve: impl FnOnce() -> Result<(Instance, T), E>,
        refuse: impl FnOnce(Error) -> E,
    ) -> Result<(Instance, T, Arc<Program>), E> {
        if !self.lock().is_empty() {
            let (root, rest) = resolve()?;
            let program = self.program(&root).map_err(refuse)?;
            return Ok((root, rest, program));
        }
        let given = self.ahead.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ahead = given.unwrap_or_else(|| ahead(&self.engine, &Instance::whole(&self.chart)));
        let (root, rest) = resolve()?;
        let compile = || Program::of_parsed(&self.engine, &root, ahead);
        let program = self.parsed(&root, compile).map_err(refuse)?;
        Ok((root, rest, program))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Program>>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn parsed(
        &self,
        root: &Instance,
        compile: impl FnOnce() -> Result<Program, Error>,
    ) -> Result<Arc<Program>, Error> {
        if let Some(program) = self.lock().iter().find(|program| program.fits(root)) {
            return Ok(Arc::clone(program));
        }
        let program = Arc::new(compile()?);
        let mut programs = self.lock();
        if programs.len() >= KEPT_PROGRAMS {
            programs.remove(0);
        }
        programs.push(Arc::clone(&program));
        Ok(program)
    }

    /// Renders a tree that belongs to the chart with a user's values, without a look at schemas.
    pub fn render(
        &self,
        root: &Instance,
        user: &JsonMap<String, Json>,
        environment: &Environment,
        notices: &mut Vec<Notice>,
    ) -> Result<BTreeMap<String, Text>, Error> {
        let values = coalesce_values(root, to_map(user), notices)?;
        self.program(root)?.render(root, &values, environment, notices)
    }
}
