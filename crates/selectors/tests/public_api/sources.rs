//! The crate's modules, parsed.

use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Item, Meta, Visibility};

/// A module and what is in it, but for tests.
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) is_public: bool,
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
                Item::Mod(module) => {
                    let name = module.ident.to_string();
                    let inner_folder = folder.join(&name);
                    let content = match module.content {
                        Some((_, items)) => items,
                        None => parse(&file_of(folder, &name)),
                    };
                    let mut child = Module {
                        name,
                        is_public: matches!(module.vis, Visibility::Public(_)),
                        items: Vec::new(),
                        children: Vec::new(),
                    };
                    child.take(content, &inner_folder);
                    self.children.push(child);
                }
                Item::Macro(call) if call.ident.is_none() => {
                    // Any other makes items, which cannot be seen from here.
                    assert!(call.mac.path.is_ident("compile_error"), "{call:?}");
                }
                other => self.items.push(other),
            }
        }
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

fn file_of(folder: &Path, name: &str) -> PathBuf {
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
