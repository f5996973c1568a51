//! What can be reached from the crate's root.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use syn::{File, GenericArgument, Item, ItemImpl, PathArguments, Type, UseTree, Visibility};

use super::sources::Module;
use super::stripped;

/// What is public: for each public module's path and each name there, the items of that name (several where it depends
/// on the platform), each with the module that it stands in.
type Exports<'a> = BTreeMap<String, BTreeMap<String, Vec<(&'a Module, Item)>>>;

/// The surface as text: one part for each public module, and in it one for each name.
pub(crate) fn of(name: &str, root_file: &Path) -> String {
    let root = Module::root(root_file);
    let mut surface = Surface {
        root: &root,
        exports: Exports::new(),
    };
    surface.export_module(&root, name);
    surface.text()
}

struct Surface<'a> {
    root: &'a Module,
    exports: Exports<'a>,
}

impl<'a> Surface<'a> {
    fn text(&self) -> String {
        let mut text = String::new();
        for (path, names) in &self.exports {
            write!(text, "\n// In {path}:\n").expect("strings take everything");
            for (name, definitions) in names {
                let mut items = Vec::new();
                for (module, definition) in definitions {
                    items.push(stripped::item(definition.clone(), &module.conditions));
                }
                items.extend(self.implementations(name, definitions));
                write!(text, "\n{}", printed(items)).expect("strings take everything");
            }
        }
        text
    }

    fn export_module(&mut self, module: &'a Module, path: &str) {
        for item in &module.items {
            match item {
                Item::Use(import) if is_public(&import.vis) => {
                    for leaf in leaves(&import.tree, &[]) {
                        self.export_leaf(module, &leaf, path);
                    }
                }
                _ => {
                    if let Some(name) = public_name(item) {
                        self.add(path, &name, module, item);
                    }
                }
            }
        }
        for child in module.children.iter().filter(|child| child.is_public) {
            self.export_module(child, &format!("{path}::{}", child.name));
        }
    }

    fn add(&mut self, path: &str, name: &str, module: &'a Module, item: &Item) {
        let names = self.exports.entry(path.to_owned()).or_default();
        let items = names.entry(name.to_owned()).or_default();
        items.push((module, item.clone()));
    }

    /// Exports what one path in a `use` leads to.
    fn export_leaf(&mut self, module: &'a Module, leaf: &Leaf, path: &str) {
        let (name, folders) = leaf.from.split_last().expect("a path has a last part");
        let (start, folders) = match folders.first().map(String::as_str) {
            Some("crate") => (self.root, &folders[1..]),
            Some("self") => (module, &folders[1..]),
            Some(first) if module.named(first).next().is_none() => {
                // From another crate: shown as it is written.
                let written = format!("pub use {} as {};", leaf.from.join("::"), leaf.name);
                let item = syn::parse_str(&written).expect("a `use`");
                self.add(path, &leaf.name, module, &item);
                return;
            }
            _ => (module, folders),
        };
        let sources = folders.iter().fold(vec![start], |modules, folder| {
            let inner = modules.into_iter().flat_map(|module| module.named(folder));
            inner.collect()
        });
        for source in sources {
            for child in source.named(name) {
                self.export_module(child, &format!("{path}::{}", leaf.name));
            }
            for item in &source.items {
                if public_name(item).as_ref() == Some(name) {
                    self.add(path, &leaf.name, source, item);
                }
                // Or that module has it from elsewhere.
                let Item::Use(import) = item else { continue };
                if is_public(&import.vis) {
                    let inner = leaves(&import.tree, &[]).into_iter();
                    for inner in inner.filter(|inner| inner.name == *name) {
                        self.export_leaf(source, &inner, path);
                    }
                }
            }
        }
        let found = self
            .exports
            .get(path)
            .is_some_and(|names| names.contains_key(&leaf.name));
        let is_module = self.exports.contains_key(&format!("{path}::{}", leaf.name));
        assert!(found || is_module, "{name} is not found");
    }

    /// What is implemented for a public type, or with it: public methods and public traits.
    fn implementations(&self, name: &str, definitions: &[(&Module, Item)]) -> Vec<Item> {
        let private_traits = self.private_traits();
        let mut found = Vec::new();
        for module in self.root.all() {
            let defines = |item: &Item| public_name(item).as_deref() == Some(name);
            let is_home = definitions
                .iter()
                .any(|(home, _)| std::ptr::eq(*home, module));
            if !is_home && module.items.iter().any(defines) {
                continue; // another type of the same name
            }
            for item in &module.items {
                let Item::Impl(item) = item else { continue };
                let of_trait = item
                    .trait_
                    .as_ref()
                    .and_then(|(path, _)| path.segments.last());
                if of_trait.is_some_and(|last| private_traits.contains(&last.ident.to_string())) {
                    continue;
                }
                if subjects(item).iter().any(|subject| subject == name) {
                    let item = stripped::implementation(item.clone(), &module.conditions);
                    found.extend(item.map(Item::Impl));
                }
            }
        }
        found.sort_by_cached_key(|item| printed(vec![item.clone()]));
        found
    }

    fn private_traits(&self) -> BTreeSet<String> {
        let is_public = |name: &String| self.exports.values().any(|names| names.contains_key(name));
        let items = self.root.all().into_iter().flat_map(|module| &module.items);
        let traits = items.filter_map(|item| match item {
            Item::Trait(item) => Some(item.ident.to_string()),
            _ => None,
        });
        traits.filter(|name| !is_public(name)).collect()
    }
}

fn printed(items: Vec<Item>) -> String {
    prettyplease::unparse(&File {
        shebang: None,
        frontmatter: None,
        attrs: Vec::new(),
        items,
    })
}

/// The types that an implementation is about: the one that has it and, as in `From<Ours> for Theirs`, the trait's
/// parameters.
fn subjects(item: &ItemImpl) -> Vec<String> {
    let last = item
        .trait_
        .as_ref()
        .and_then(|(path, _)| path.segments.last());
    let parameters = last.map(|segment| match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => arguments.args.iter().collect(),
        _ => Vec::new(),
    });
    let types = parameters
        .unwrap_or_default()
        .into_iter()
        .filter_map(|argument| match argument {
            GenericArgument::Type(parameter) => Some(parameter),
            _ => None,
        });
    types
        .chain([&*item.self_ty])
        .filter_map(last_name)
        .collect()
}

fn last_name(of: &Type) -> Option<String> {
    match of {
        Type::Path(path) => Some(path.path.segments.last()?.ident.to_string()),
        Type::Reference(reference) => last_name(&reference.elem),
        _ => None,
    }
}

/// One path in a `use`, and the name that it gives to what is there.
struct Leaf {
    from: Vec<String>,
    name: String,
}

/// The paths that a `use` names, one by one.
fn leaves(tree: &UseTree, before: &[String]) -> Vec<Leaf> {
    let with = |name: String| [before, &[name]].concat();
    let leaf = |from: String, name: String| {
        vec![Leaf {
            from: with(from),
            name,
        }]
    };
    match tree {
        UseTree::Path(path) => leaves(&path.tree, &with(path.ident.to_string())),
        UseTree::Name(name) => leaf(name.ident.to_string(), name.ident.to_string()),
        UseTree::Rename(name) => leaf(name.ident.to_string(), name.rename.to_string()),
        UseTree::Group(group) => {
            let all = group.items.iter();
            all.flat_map(|tree| leaves(tree, before)).collect()
        }
        UseTree::Glob(_) => panic!("`*` in a `use` that others see is not understood here"),
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// The name of an item that is public where it stands.
fn public_name(item: &Item) -> Option<String> {
    let (visibility, name) = match item {
        Item::Const(item) => (&item.vis, &item.ident),
        Item::Enum(item) => (&item.vis, &item.ident),
        Item::Fn(item) => (&item.vis, &item.sig.ident),
        Item::Static(item) => (&item.vis, &item.ident),
        Item::Struct(item) => (&item.vis, &item.ident),
        Item::Trait(item) => (&item.vis, &item.ident),
        Item::Type(item) => (&item.vis, &item.ident),
        Item::Union(item) => (&item.vis, &item.ident),
        _ => return None,
    };
    is_public(visibility).then(|| name.to_string())
}
