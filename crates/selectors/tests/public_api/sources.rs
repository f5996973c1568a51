//! The crate's modules, parsed.

use std::fs;
use std::path::Path;

use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, ExprLit, Item, ItemMod, Lit, Meta, Token, Visibility, parse_quote};

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
                Item::Mod(module) => self.add_module(&module, folder),
                Item::Macro(call) if call.ident.is_none() => {
                    // Any other makes items, which cannot be seen from here.
                    assert!(call.mac.path.is_ident("compile_error"), "{call:?}");
                }
                other => self.items.push(other),
            }
        }
    }

    /// Adds a module whose file, or files where platforms have one each, stand in the folder.
    fn add_module(&mut self, module: &ItemMod, folder: &Path) {
        let name = module.ident.to_string();
        if let Some((_, items)) = &module.content {
            let child = self.new_child(module, None);
            self.fill(child, items.clone(), &folder.join(&name));
            return;
        }
        for (condition, path) in other_paths(&module.attrs) {
            let file = folder.join(path);
            let child = self.new_child(module, condition);
            let inner_folder = file.parent().expect("a file in a folder").to_owned();
            self.fill(child, parse(&file), &inner_folder);
        }
        let usual = [
            folder.join(format!("{name}.rs")),
            folder.join(&name).join("mod.rs"),
        ];
        if let Some(file) = usual.iter().find(|file| file.exists()) {
            let child = self.new_child(module, None);
            self.fill(child, parse(file), &folder.join(&name));
        }
    }

    fn fill(&mut self, mut child: Module, items: Vec<Item>, folder: &Path) {
        child.take(items, folder);
        self.children.push(child);
    }

    fn new_child(&self, module: &ItemMod, condition: Option<Attribute>) -> Module {
        let own_conditions = module.attrs.iter().filter(|own| own.path().is_ident("cfg"));
        let conditions = self.conditions.iter().chain(own_conditions).cloned();
        Module {
            name: module.ident.to_string(),
            is_public: matches!(module.vis, Visibility::Public(_)),
            conditions: conditions.chain(condition).collect(),
            items: Vec::new(),
            children: Vec::new(),
        }
    }

    /// The modules of that name: several where platforms have one each.
    pub(crate) fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Module> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// This module and all below it.
    pub(crate) fn all(&self) -> Vec<&Module> {
        let below = self.children.iter().flat_map(Module::all);
        std::iter::once(self).chain(below).collect()
    }
}

/// The files that `path = "…"` names, or `cfg_attr(…, path = "…")` under a condition.
fn other_paths(attributes: &[Attribute]) -> Vec<(Option<Attribute>, String)> {
    let mut paths = Vec::new();
    for attribute in attributes {
        if let Some(path) = path_of(&attribute.meta) {
            paths.push((None, path));
        } else if attribute.path().is_ident("cfg_attr") {
            let parts = attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
            let parts: Vec<Meta> = parts
                .expect("a condition and attributes")
                .into_iter()
                .collect();
            let (condition, given) = parts.split_first().expect("a condition");
            let condition: Attribute = parse_quote!(#[cfg(#condition)]);
            let given = given.iter().filter_map(path_of);
            paths.extend(given.map(|path| (Some(condition.clone()), path)));
        }
    }
    paths
}

fn path_of(meta: &Meta) -> Option<String> {
    let Meta::NameValue(meta) = meta else {
        return None;
    };
    match &meta.value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(path),
            ..
        }) if meta.path.is_ident("path") => Some(path.value()),
        _ => None,
    }
}

fn parse(file: &Path) -> Vec<Item> {
    let text = fs::read_to_string(file)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
    let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    file.items
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let condition = attribute.parse_args::<Meta>();
        attribute.path().is_ident("cfg") && condition.is_ok_and(|condition| needs_test(&condition))
    })
}

/// Whether a condition is `test`, or `all(…)` with it.
fn needs_test(condition: &Meta) -> bool {
    match condition {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("all") => {
            let all = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
            all.is_ok_and(|all| all.iter().any(needs_test))
        }
        _ => false,
    }
}
