// SPDX-License-Identifier: BSD-2-Clause

//! The attribute of crate `sel4-root-task`.

use proc_macro::{TokenStream, TokenTree};

/// Makes a function the root task's main function.
///
/// `#[root_task]` or `#[root_task(stack_size = 64 * 1024)]` on
/// `fn main(bootinfo: &sel4::BootInfoPtr) -> T`, where `T` is what never comes back: `!`, `Never`, or a `Result` of it.
#[proc_macro_attribute]
pub fn root_task(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut tokens = item.clone().into_iter();
    let is_fn =
        |token: &TokenTree| matches!(token, TokenTree::Ident(word) if word.to_string() == "fn");
    let name = match (tokens.by_ref().find(is_fn), tokens.next()) {
        (Some(_), Some(TokenTree::Ident(name))) => name,
        _ => return tokens_of("compile_error!(\"#[root_task] belongs on a function\");"),
    };
    let mut expanded = tokens_of(&format!(
        "::sel4_root_task::declare_root_task!(main = {name}, {arguments});"
    ));
    expanded.extend(item);
    expanded
}

fn tokens_of(text: &str) -> TokenStream {
    text.parse().expect("text written here is Rust")
}
