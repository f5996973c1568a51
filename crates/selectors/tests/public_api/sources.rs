//! The crate's modules, parsed.

use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Expr, Item, ItemMod, Lit, Meta, Visibility};

/// A module and what is in it, but for tests.
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) is_public: bool,
    /// On which platforms it is there: its own conditions and those of the modules around it.
    pub(crate) conditions: Vec<Attribute>,
    pub(crate) items: Vec<Item>,
    pub(crate) children: Vec<Module>,
}

impl Module {
    /// The whole crate, from its root file.
    pub(crate) fn root(file: &Path) -> Module {
        let folder = file.parent().expect("a file in a folder");
        let mut root = Module {
            name: "crate".to_owned(),
            is_public: true,
            conditions: Vec::new(),
            items: Vec::new(),
            children: Vec::new(),
        };
        root.take(parse(file), folder);
        root
    }

    /// Sorts items into modules and others. `folder` is where the files of modules in here lie.
    fn take(&mut self, items: Vec<Item>, folder: &Path) {
        for item in items {
            match item {
                Item::Mod(module) if is_for_tests(&module.attrs) => {}
                Item::Mod(module) => self.children.push(self.parsed(module, folder)),
                Item::Macro(call) if call.ident.is_none() => {
                    // Any other makes items, which cannot be seen from here.
                    assert!(call.mac.path.is_ident("compile_error"), "{call:?}");
                }
                other => self.items.push(other),
            }
        }
    }

    /// A module of this one, which stands in the folder.
    fn parsed(&self, module: ItemMod, folder: &Path) -> Module {
        let name = module.ident.to_string();
        let content = match module.content {
            Some((_, items)) => items,
            None => parse(&file_of(folder, &name, &module.attrs)),
        };
        let own_conditions = module.attrs.iter().filter(|own| own.path().is_ident("cfg"));
        let mut child = Module {
            is_public: matches!(module.vis, Visibility::Public(_)),
            conditions: self
                .conditions
                .iter()
                .chain(own_conditions)
                .cloned()
                .collect(),
            items: Vec::new(),
            children: Vec::new(),
            name,
        };
        let inner_folder = folder.join(&child.name);
        child.take(content, &inner_folder);
        child
    }

    pub(crate) fn child(&self, name: &str) -> Option<&Module> {
        self.children.iter().find(|child| child.name == name)
    }

    /// This module and all below it.
    pub(crate) fn all(&self) -> Vec<&Module> {
        let below = self.children.iter().flat_map(Module::all);
        std::iter::once(self).chain(below).collect()
    }
}

fn file_of(folder: &Path, name: &str, attributes: &[Attribute]) -> PathBuf {
    let says = |attribute: &Attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("path") => match &meta.value {
            Expr::Lit(text) => match &text.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    if let Some(path) = attributes.iter().find_map(says) {
        return folder.join(path);
    }
    let file = folder.join(format!("{name}.rs"));
    if file.exists() {
        file
    } else {
        folder.join(name).join("mod.rs")
    }
}

fn parse(file: &Path) -> Vec<Item> {
    let text = fs::read_to_string(file)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
    let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    file.items
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => {
            list.path.is_ident("cfg")
                && list.tokens.clone().into_iter().count() == 1
                && list.tokens.to_string() == "test"
        }
        _ => false,
    })
}
