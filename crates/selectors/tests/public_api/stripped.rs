//! Items without what is nobody else's business.

use syn::punctuated::Punctuated;
use syn::{
    Attribute, Block, Expr, Field, Fields, FnArg, ImplItem, Item, ItemImpl, Pat, ReceiverKind,
    Signature, TraitItem, Visibility, parse_quote,
};

/// Attributes that a user notices.
const SHOWN: [&str; 6] = [
    "cfg",
    "deprecated",
    "derive",
    "must_use",
    "non_exhaustive",
    "repr",
];

/// An item without bodies, private fields and documentation, under the conditions of its module.
pub(crate) fn item(mut item: Item, conditions: &[Attribute]) -> Item {
    let shown = attributes_of(&mut item);
    shown.extend_from_slice(conditions);
    attributes(shown);
    match &mut item {
        Item::Const(item) => value(&mut item.expr),
        Item::Static(item) => value(&mut item.expr),
        Item::Enum(item) => {
            for variant in &mut item.variants {
                attributes(&mut variant.attrs);
                all_fields(&mut variant.fields);
            }
        }
        Item::Fn(item) => {
            signature(&mut item.sig);
            *item.block = empty();
        }
        Item::Struct(item) => public_fields(&mut item.fields),
        Item::Trait(item) => item.items.iter_mut().for_each(trait_item),
        // There is nothing in the others that is private.
        _ => {}
    }
    item
}

fn attributes_of(item: &mut Item) -> &mut Vec<Attribute> {
    match item {
        Item::Const(item) => &mut item.attrs,
        Item::Enum(item) => &mut item.attrs,
        Item::Fn(item) => &mut item.attrs,
        Item::Static(item) => &mut item.attrs,
        Item::Struct(item) => &mut item.attrs,
        Item::Trait(item) => &mut item.attrs,
        Item::Type(item) => &mut item.attrs,
        Item::Use(item) => &mut item.attrs,
        other => panic!("not understood: {other:?}"),
    }
}

/// An implementation without bodies, under the conditions of its module; `None` if nothing of it is public.
pub(crate) fn implementation(mut item: ItemImpl, conditions: &[Attribute]) -> Option<ItemImpl> {
    item.attrs.extend_from_slice(conditions);
    attributes(&mut item.attrs);
    if item.trait_.is_some() {
        // Its functions are the trait's; which types it picks is news.
        item.items.retain(|item| matches!(item, ImplItem::Type(_)));
        return Some(item);
    }
    item.items.retain_mut(public_part);
    (!item.items.is_empty()).then_some(item)
}

/// Strips a part of an inherent implementation, and says whether it is public.
fn public_part(item: &mut ImplItem) -> bool {
    match item {
        ImplItem::Const(item) => {
            attributes(&mut item.attrs);
            value(&mut item.expr);
            matches!(item.vis, Visibility::Public(_))
        }
        ImplItem::Fn(item) => {
            attributes(&mut item.attrs);
            signature(&mut item.sig);
            item.block = empty();
            matches!(item.vis, Visibility::Public(_))
        }
        other => panic!("not understood: {other:?}"),
    }
}

fn trait_item(item: &mut TraitItem) {
    match item {
        TraitItem::Fn(item) => {
            attributes(&mut item.attrs);
            signature(&mut item.sig);
            // Whether there is a default is news; what it does is not.
            item.default = item.default.as_ref().map(|_| empty());
        }
        TraitItem::Type(item) => attributes(&mut item.attrs),
        TraitItem::Const(item) => attributes(&mut item.attrs),
        other => panic!("not understood: {other:?}"),
    }
}

fn attributes(attributes: &mut Vec<Attribute>) {
    attributes.retain(|attribute| SHOWN.iter().any(|shown| attribute.path().is_ident(shown)));
}

fn empty() -> Block {
    parse_quote!({})
}

/// A text or a number stays; how anything else is made is private.
fn value(value: &mut Expr) {
    if !matches!(value, Expr::Lit(_)) {
        *value = parse_quote!(_);
    }
}

/// Whether a parameter is changed inside is nobody else's business.
fn signature(signature: &mut Signature) {
    for input in &mut signature.inputs {
        match input {
            FnArg::Typed(typed) => {
                if let Pat::Ident(name) = &mut *typed.pat {
                    name.mutability = None;
                } else {
                    *typed.pat = parse_quote!(_);
                }
            }
            FnArg::Receiver(receiver) if matches!(receiver.kind, ReceiverKind::Value) => {
                receiver.mutability = None;
            }
            FnArg::Receiver(_) => {}
        }
    }
}

/// The fields of a variant are as public as the enum is.
fn all_fields(fields: &mut Fields) {
    fields
        .iter_mut()
        .for_each(|field| attributes(&mut field.attrs));
}

/// Keeps public fields; one `_` stands for all the others.
fn public_fields(fields: &mut Fields) {
    let is_private = |field: &Field| !matches!(field.vis, Visibility::Public(_));
    let has_private = fields.iter().any(is_private);
    all_fields(fields);
    match fields {
        Fields::Named(named) => {
            let public = named
                .named
                .iter()
                .filter(|field| !is_private(field))
                .cloned();
            let mut kept: Punctuated<_, _> = public.collect();
            if has_private {
                let wanted: syn::FieldsNamed = parse_quote!({ _private: _ });
                kept.extend(wanted.named);
            }
            named.named = kept;
        }
        Fields::Unnamed(unnamed) => {
            // Their places count: each private one is shown by itself.
            for field in unnamed.unnamed.iter_mut().filter(|field| is_private(field)) {
                field.ty = parse_quote!(_);
            }
        }
        Fields::Unit => {}
    }
}
