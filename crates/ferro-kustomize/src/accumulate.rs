//! The recursion over layers.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::config::{TransformerConfig, load_crds, merge_shared};
use crate::error::{Context, Error, ErrorKind, Result, fail};
use crate::generate::absorb::absorb;
use crate::layer::{self, Step};
use crate::loader::Loader;
use crate::options::{Options, Resources, SchemaMode};
use crate::order;
use crate::origin::{Origin, note_generator, note_transformer};
use crate::place::Entry;
use crate::resmap::ResMap;
use crate::resource::{ORIGIN, Resource, TRANSFORMATIONS, is_reader_annotation};
use crate::schema::{CustomSchema, Schema};
use crate::transform::metadata::MetadataTransformer;
use crate::transform::{Cx, Transformer};
use crate::types::{FieldSpec, Kustomization};
use crate::validate;
use crate::vars::{self, VarSet};

const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const MANAGER: &str = "kustomize-v5.8.1";
const CONFIGURING_TRANSFORMER: &str = "configuring external transformer";

/// What a layer and those below it brought together.
#[derive(Clone, Default)]
pub(crate) struct Accumulated {
    pub(crate) resources: ResMap,
    config: Option<Arc<TransformerConfig>>,
    vars: VarSet,
}

/// One kustomization directory under evaluation.
pub(crate) struct Layer<'a> {
    pub(crate) loader: Rc<Loader<'a>>,
    pub(crate) kustomization: Kustomization,
    pub(crate) file: String,
    /// Set when origins are tracked.
    pub(crate) origin: Option<Origin>,
    /// The namespace that charts inherit.
    pub(crate) chart_namespace: String,
    /// Whether the kustomization was given instead of read from the file.
    pub(crate) is_given: bool,
}

/// One build.
pub(crate) struct Build<'o> {
    options: &'o Options<'o>,
    pub(crate) schema: Schema,
    defaults: Arc<TransformerConfig>,
    warnings: RefCell<Vec<String>>,
    /// Whether the schema was needed yet; then a custom one comes too late to replace it.
    has_used_schema: bool,
    /// Whether a replacement may copy comments into a text; otherwise nobody sees those of resources.
    keeps_comments: bool,
}

impl<'o> Build<'o> {
    pub(crate) fn new(options: &'o Options<'o>) -> Self {
        Self {
            options,
            schema: Schema::default(),
            defaults: TransformerConfig::defaults(),
            warnings: RefCell::default(),
            has_used_schema: false,
            keeps_comments: false,
        }
    }

    pub(crate) fn cx(&self) -> Cx<'_> {
        Cx {
            schema: &self.schema,
            quirks: self.options.quirks,
        }
    }

    /// Builds from the root on.
    pub(crate) fn run(
        mut self,
        loader: Rc<Loader<'_>>,
        given: Option<(Kustomization, &str)>,
    ) -> Result<Resources> {
        let built = self.build(loader, given);
        let warnings = self.warnings.into_inner();
        match built {
            Ok(list) => Ok(Resources::new(list, warnings, self.schema)),
            Err(error) => Err(error.after(warnings)),
        }
    }

    fn build(
        &mut self,
        loader: Rc<Loader<'_>>,
        given: Option<(Kustomization, &str)>,
    ) -> Result<Vec<Resource>> {
        let mut root = match given {
            None => self.load_layer(loader)?,
            Some((kustomization, file)) => self.given_layer(loader, kustomization, file)?,
        };
        self.choose_schema(&root)?;
        if !root.kustomization.build_metadata.is_empty() {
            root.origin = Some(Origin::default());
        }
        let mut accumulated = self.accumulate(&root, Accumulated::default())?;
        self.finish(&root, &mut accumulated)?;
        Ok(accumulated.resources.into_list())
    }

    /// What happens once, when all layers are done.
    fn finish(&self, root: &Layer<'_>, accumulated: &mut Accumulated) -> Result<()> {
        let resources = &mut accumulated.resources;
        Transformer::Hash.transform(resources, self.cx())?;
        let config = accumulated.config.as_ref().unwrap_or(&self.defaults);
        crate::nameref::fix(resources, &config.name_reference, &self.schema)?;
        vars::resolve(&accumulated.vars, resources, &config.var_reference, &self.schema)?;
        crate::local::drop_local(resources, &self.schema)?;
        let kustomization = &root.kustomization;
        order::apply(
            resources,
            kustomization.sort_options.as_ref(),
            self.options.reorder,
            &self.schema,
        )?;
        let wants = |word: &str| kustomization.build_metadata.iter().any(|wanted| wanted == word);
        if self.options.managed_by_label || wants("managedByLabel") {
            let spec = FieldSpec {
                path: "metadata/labels".to_owned(),
                create: true,
                ..FieldSpec::default()
            };
            let pairs = [(MANAGED_BY.to_owned(), MANAGER.to_owned())].into();
            MetadataTransformer::new(pairs, &[spec]).transform(resources, self.cx())?;
        }
        let (keeps_origin, keeps_transformations) =
            (wants("originAnnotations"), wants("transformerAnnotations"));
        for resource in resources.iter_mut() {
            strip(resource, keeps_origin, keeps_transformations);
        }
        Ok(())
    }

    fn load_layer<'a>(&self, loader: Rc<Loader<'a>>) -> Result<Layer<'a>> {
        let (content, file) = find_file(&loader)?;
        let loaded = crate::types::load_kustomization(&content, &loader.shown(file), loader.root())?;
        self.warnings.borrow_mut().extend(loaded.warnings);
        Ok(Layer {
            kustomization: loaded.kustomization,
            file: file.to_owned(),
            origin: None,
            chart_namespace: String::new(),
            is_given: false,
            loader,
        })
    }

    fn given_layer<'a>(
        &self,
        loader: Rc<Loader<'a>>,
        mut kustomization: Kustomization,
        file: &str,
    ) -> Result<Layer<'a>> {
        self.warnings
            .borrow_mut()
            .extend(kustomization.deprecations(None));
        kustomization.modernize();
        if kustomization.is_empty() {
            return Err(ErrorKind::EmptyKustomization.into());
        }
        kustomization.check_type(loader.root())?;
        let file = file.to_owned();
        Ok(Layer {
            loader,
            kustomization,
            file,
            origin: None,
            chart_namespace: String::new(),
            is_given: true,
        })
    }

    fn choose_schema(&mut self, layer: &Layer<'_>) -> Result<()> {
        let replaces = self.options.schema_mode == SchemaMode::Replace && !self.has_used_schema;
        let openapi = &layer.kustomization.openapi;
        let custom = || match openapi.get("path") {
            Some(path) => CustomSchema::parse(&layer.loader.load(path)?).map(Some),
            None => Ok(None),
        };
        self.schema.choose(openapi, custom, replaces)
    }

    /// Evaluates one layer; a component goes on with what its parent has.
    fn accumulate(&mut self, layer: &Layer<'_>, start: Accumulated) -> Result<Accumulated> {
        self.steps(layer, start)
            .map_err(|error| error.at(layer.place(Entry::File)))
    }

    fn steps(&mut self, layer: &Layer<'_>, start: Accumulated) -> Result<Accumulated> {
        let mut accumulated = start;
        let kustomization = &layer.kustomization;
        // Components and transformers may hold replacements, too.
        self.keeps_comments |= !kustomization.replacements.is_empty()
            || !kustomization.components.is_empty()
            || !kustomization.transformers.is_empty();
        let entries = kustomization.resources.clone();
        self.accumulate_resources(layer, &mut accumulated, &entries)
            .during(|| "accumulating resources".to_owned())?;
        self.merge_config(layer, &mut accumulated)?;
        self.run_generators(layer, &mut accumulated)?;
        let components = layer.kustomization.components.clone();
        for entry in &components {
            accumulated = self
                .accumulate_component(layer, accumulated, entry)
                .map_err(|error| error.at(layer.place(Entry::Path(entry))))
                .during(|| "accumulating components".to_owned())?;
        }
        self.run_transformers(layer, &mut accumulated)?;
        self.run_validators(layer, &mut accumulated)?;
        let vars = &layer.kustomization.vars;
        accumulated
            .vars
            .register(vars, &mut accumulated.resources, &self.schema)
            .during(|| format!("merging vars {}", vars::describe_all(vars)))
            .map_err(|error| error.at(layer.place(Entry::Field("vars"))))?;
        Ok(accumulated)
    }

    fn merge_config(&self, layer: &Layer<'_>, accumulated: &mut Accumulated) -> Result<()> {
        let kustomization = &layer.kustomization;
        if kustomization.configurations.is_empty() {
            merge_shared(&mut accumulated.config, &self.defaults).during(|| "merging config".to_owned())?;
        } else {
            let mut own = TransformerConfig::default();
            for path in &kustomization.configurations {
                own.merge(&TransformerConfig::parse(&layer.loader.load(path)?)?)?;
            }
            let mut config = TransformerConfig::clone(&self.defaults);
            config.merge(&own)?;
            merge_shared(&mut accumulated.config, &Arc::new(config))
                .during(|| "merging config".to_owned())?;
        }
        if !kustomization.crds.is_empty() {
            let words = || format!("loading CRDs [{}]", kustomization.crds.join(" "));
            let config = load_crds(&layer.loader, &kustomization.crds).during(words)?;
            merge_shared(&mut accumulated.config, &Arc::new(config)).during(|| "merging CRDs".to_owned())?;
        }
        Ok(())
    }

    fn accumulate_resources(
        &mut self,
        layer: &Layer<'_>,
        accumulated: &mut Accumulated,
        entries: &[String],
    ) -> Result<()> {
        entries.iter().try_for_each(|entry| {
            self.accumulate_entry(layer, accumulated, entry)
                .map_err(|error| error.at(layer.place(Entry::Path(entry))))
        })
    }

    fn accumulate_entry(
        &mut self,
        layer: &Layer<'_>,
        accumulated: &mut Accumulated,
        entry: &str,
    ) -> Result<()> {
        let Err(as_file) = self.accumulate_file(layer, accumulated, entry) else {
            return Ok(());
        };
        if as_file.is_http() {
            return Err(as_file);
        }
        let loader = match layer.loader.enter(entry) {
            Ok(loader) => loader,
            // It was a file that is broken; that it is no directory either is no news.
            Err(error) if as_file.is_malformed_yaml() && !error.is_timeout() => return Err(as_file),
            Err(as_directory) => {
                return Err(ErrorKind::Accumulation {
                    as_file,
                    as_directory,
                }
                .into());
            }
        };
        self.accumulate_base(layer, accumulated, entry, loader)
            .map_err(|as_directory| {
                Error::from(ErrorKind::Accumulation {
                    as_file,
                    as_directory,
                })
            })
    }

    fn accumulate_file(
        &mut self,
        layer: &Layer<'_>,
        accumulated: &mut Accumulated,
        entry: &str,
    ) -> Result<()> {
        let content = layer
            .loader
            .load(entry)
            .during(|| format!("accumulating resources from '{entry}'"))?;
        let mut resources = crate::read::resources_at(
            &content,
            Some(entry),
            &layer.loader.shown(entry),
            self.keeps_comments,
        )
        .during(|| format!("accumulating resources from '{entry}'"))?;
        self.note_types(&resources);
        if let Some(origin) = &layer.origin {
            let origin = origin.append(entry);
            resources
                .iter_mut()
                .for_each(|resource| origin.annotate(resource));
        }
        let mut of_file = ResMap::default();
        for resource in resources {
            of_file
                .append(resource, &self.schema)
                .during(|| format!("accumulating resources from '{entry}'"))?;
        }
        accumulated
            .resources
            .append_all(of_file, &self.schema)
            .during(|| format!("merging resources from '{entry}'"))
    }

    /// Upstream reads its schema at the first object of a type that it has no table for.
    fn note_types(&mut self, resources: &[Resource]) {
        let is_unknown = |resource: &Resource| !Schema::is_in_tables(&resource.gvk());
        self.has_used_schema = self.has_used_schema || resources.iter().any(is_unknown);
    }

    /// Evaluates a layer that another one names.
    fn enter<'a>(&mut self, parent: &Layer<'a>, entry: &str, loader: Rc<Loader<'a>>) -> Result<Layer<'a>> {
        let root = loader.root().to_owned();
        let mut layer = self
            .load_layer(loader)
            .during(|| format!("couldn't make target for path '{root}'"))?;
        layer
            .kustomization
            .build_metadata
            .clone_from(&parent.kustomization.build_metadata);
        layer.origin = parent.origin.as_ref().map(|origin| origin.append(entry));
        let own = &parent.kustomization.namespace;
        layer.chart_namespace.clone_from(if own.is_empty() {
            &parent.chart_namespace
        } else {
            own
        });
        self.choose_schema(&layer)?;
        Ok(layer)
    }

    fn accumulate_base<'a>(
        &mut self,
        parent: &Layer<'a>,
        accumulated: &mut Accumulated,
        entry: &str,
        loader: Rc<Loader<'a>>,
    ) -> Result<()> {
        let layer = self.enter(parent, entry, loader)?;
        let root = layer.loader.root().to_owned();
        if layer.kustomization.is_component() {
            fail!("expected kind != 'Component' for path '{root}'");
        }
        let below = self
            .accumulate(&layer, Accumulated::default())
            .during(|| format!("recursed accumulation of path '{root}'"))?;
        self.merge(accumulated, below)
            .during(|| format!("recursed merging from path '{root}'"))
    }

    fn merge(&self, accumulated: &mut Accumulated, other: Accumulated) -> Result<()> {
        accumulated.resources.append_all(other.resources, &self.schema)?;
        if let Some(config) = &other.config {
            merge_shared(&mut accumulated.config, config)?;
        }
        accumulated.vars.add_all(&other.vars)
    }

    fn accumulate_component(
        &mut self,
        parent: &Layer<'_>,
        accumulated: Accumulated,
        entry: &str,
    ) -> Result<Accumulated> {
        let loader = parent.loader.enter(entry).map_err(|cause| {
            Error::from(ErrorKind::Quoted {
                words: "loader.New",
                cause,
            })
        })?;
        let inside = |this: &mut Self| {
            let layer = this.enter(parent, entry, loader)?;
            let root = layer.loader.root().to_owned();
            if !layer.kustomization.is_component() {
                fail!(
                    "expected kind 'Component' for path '{root}' but got '{}'",
                    layer.kustomization.kind
                );
            }
            let done = this
                .accumulate(&layer, accumulated)
                .during(|| format!("recursed accumulation of path '{root}'"))?;
            let mut merged = Accumulated::default();
            this.merge(&mut merged, done)
                .during(|| format!("recursed merging from path '{root}'"))?;
            Ok(merged)
        };
        inside(self).map_err(|cause| {
            ErrorKind::Quoted {
                words: "accumulateDirectory:",
                cause,
            }
            .into()
        })
    }

    fn run_generators(&mut self, layer: &Layer<'_>, accumulated: &mut Accumulated) -> Result<()> {
        let charts = self.options.charts;
        let mut generators = layer::generators(layer, charts)?;
        let entries = layer.kustomization.generators.clone();
        let words = || "loading generator plugins".to_owned();
        let configs = self
            .plugin_configs(layer, &entries, "configuring external generator")
            .during(words)?;
        for config in configs.iter() {
            let generator = crate::plugin::generator(config, &layer.loader, &self.schema, charts)
                .during(|| "failed to load generator".to_owned())
                .during(words)?;
            generators.push(Step::of_plugin(generator, config));
        }
        for step in generators {
            let generated = step
                .run
                .generate(&layer.loader, self.options.quirks)
                .map_err(|error| error.at(step.place(layer)))?;
            self.note_types(&generated);
            for mut resource in generated {
                if let Some(origin) = &step.origin {
                    note_generator(&mut resource, origin);
                }
                absorb(&mut accumulated.resources, resource, &self.schema)
                    .during(|| "merging from generator".to_owned())
                    .map_err(|error| error.at(step.place(layer)))?;
            }
        }
        Ok(())
    }

    /// Reads the objects that configure plugins: inline, or as resources would be read. `words` say what for.
    fn plugin_configs(&mut self, layer: &Layer<'_>, entries: &[String], words: &str) -> Result<ResMap> {
        let mut accumulated = Accumulated::default();
        let mut paths = Vec::new();
        for entry in entries {
            let Ok(resources) = crate::read::resources(entry.as_bytes(), None) else {
                paths.push(entry.clone());
                continue;
            };
            self.note_types(&resources);
            for mut resource in resources {
                if let Some(origin) = &layer.origin {
                    origin.append(&layer.file).annotate(&mut resource);
                }
                accumulated
                    .resources
                    .append(resource, &self.schema)
                    .during(|| words.to_owned())?;
            }
        }
        self.accumulate_resources(layer, &mut accumulated, &paths)?;
        Ok(accumulated.resources)
    }

    fn run_transformers(&mut self, layer: &Layer<'_>, accumulated: &mut Accumulated) -> Result<()> {
        let charts = self.options.charts;
        let config = Arc::clone(accumulated.config.as_ref().unwrap_or(&self.defaults));
        let mut transformers = layer::transformers(layer, &config)?;
        let entries = layer.kustomization.transformers.clone();
        let configs = self.plugin_configs(layer, &entries, CONFIGURING_TRANSFORMER)?;
        for config in configs.iter() {
            let transformer = crate::plugin::transformer(config, &layer.loader, &self.schema, charts)?;
            transformers.push(Step::of_plugin(transformer, config));
        }
        for step in transformers {
            self.has_used_schema =
                self.has_used_schema || step.run.uses_schema(&mut accumulated.resources, &self.schema);
            step.run
                .transform(&mut accumulated.resources, self.cx())
                .map_err(|error| error.at(step.place(layer)))?;
            if let Some(origin) = &step.origin {
                note_transformer(&mut accumulated.resources, origin)?;
            }
            accumulated.resources.drop_empties();
        }
        Ok(())
    }

    /// Runs transformers that must change nothing but a label of their own.
    fn run_validators(&mut self, layer: &Layer<'_>, accumulated: &mut Accumulated) -> Result<()> {
        let charts = self.options.charts;
        let entries = layer.kustomization.validators.clone();
        let configs = self.plugin_configs(layer, &entries, CONFIGURING_TRANSFORMER)?;
        let validators: Vec<Transformer> = configs
            .iter()
            .map(|config| crate::plugin::transformer(config, &layer.loader, &self.schema, charts))
            .collect::<Result<_>>()?;
        for validator in validators {
            let before = accumulated.resources.clone();
            validator.transform(&mut accumulated.resources, self.cx())?;
            validate::refuse_changes(&before, &mut accumulated.resources, &self.schema)
                .during(|| "validator shouldn't modify the resource map".to_owned())?;
        }
        Ok(())
    }
}

fn find_file(loader: &Loader<'_>) -> Result<(Vec<u8>, &'static str)> {
    let mut found = None;
    for name in FILE_NAMES {
        let Ok(content) = loader.load(name) else { continue };
        if found.is_some() {
            return Err(ErrorKind::MultipleKustomizations {
                dir: loader.root().to_owned(),
            }
            .into());
        }
        found = Some((content.into_owned(), name));
    }
    found.ok_or_else(|| {
        ErrorKind::MissingKustomization {
            dir: loader.root().to_owned(),
        }
        .into()
    })
}

/// Brings the annotations into their final form: strings, without bookkeeping, and gone if none is left.
fn strip(resource: &mut Resource, keeps_origin: bool, keeps_transformations: bool) {
    let mut annotations = resource.metadata_map("annotations");
    annotations.retain(|(key, _)| {
        !is_reader_annotation(key)
            && (keeps_origin || key.as_str() != ORIGIN)
            && (keeps_transformations || key.as_str() != TRANSFORMATIONS)
    });
    resource.set_metadata_map("annotations", annotations);
}
