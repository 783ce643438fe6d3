// SPDX-License-Identifier: BSD-2-Clause

//! Integer expressions as they stand in `#if`, in enumerators and in the condition attributes of older interface XML.

#[cfg(test)]
mod tests;

/// The value of `text`, with identifiers looked up in `value`. `defined X` asks only whether `X` has one.
///
/// `None` if the text is no integer expression, or if an identifier whose value matters has none.
pub fn evaluate(text: &str, value: &dyn Fn(&str) -> Option<i64>) -> Option<i64> {
    let tokens = tokenize(text)?;
    let mut parser = Parser {
        tokens: &tokens,
        value,
    };
    let result = parser.binary(0)?;
    parser.tokens.is_empty().then_some(result)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token<'a> {
    Number(i64),
    Identifier(&'a str),
    Symbol(&'a str),
}

/// Longer operators first, so that `<=` is not read as `<`.
const SYMBOLS: [&str; 17] = [
    "&&", "||", "==", "!=", "<=", ">=", "<<", ">>", "<", ">", "!", "(", ")", "+", "-", "*", "|",
];

fn tokenize(text: &str) -> Option<Vec<Token<'_>>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word_length = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let length = if first.is_ascii_digit() {
            tokens.push(Token::Number(number(&rest[..word_length])?));
            word_length
        } else if word_length > 0 {
            tokens.push(Token::Identifier(&rest[..word_length]));
            word_length
        } else {
            let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol))?;
            tokens.push(Token::Symbol(symbol));
            symbol.len()
        };
        rest = rest[length..].trim_start();
    }
    Some(tokens)
}

fn number(text: &str) -> Option<i64> {
    let text = text.trim_end_matches(['u', 'U', 'l', 'L']);
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(|n| n as i64),
        None => text.parse().ok(),
    }
}

struct Parser<'t, 'v> {
    tokens: &'t [Token<'t>],
    value: &'v dyn Fn(&str) -> Option<i64>,
}

impl<'t> Parser<'t, '_> {
    fn next(&mut self) -> Option<Token<'t>> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(*first)
    }

    fn accept(&mut self, symbol: &str) -> bool {
        let found = self.tokens.first() == Some(&Token::Symbol(symbol));
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    /// An expression of operators that bind at least as tightly as `least`.
    fn binary(&mut self, least: u8) -> Option<i64> {
        let mut left = self.unary()?;
        while let Some(&Token::Symbol(symbol)) = self.tokens.first() {
            let Some(precedence) = precedence(symbol).filter(|found| *found >= least) else {
                break;
            };
            self.next();
            let right = self.binary(precedence + 1)?;
            left = apply(symbol, left, right)?;
        }
        Some(left)
    }

    fn unary(&mut self) -> Option<i64> {
        match self.next()? {
            Token::Number(number) => Some(number),
            Token::Identifier("defined") => {
                let parenthesis = self.accept("(");
                let Token::Identifier(name) = self.next()? else {
                    return None;
                };
                let closed = !parenthesis || self.accept(")");
                closed.then_some((self.value)(name).is_some().into())
            }
            Token::Identifier(name) => (self.value)(name),
            Token::Symbol("!") => self.unary().map(|value| (value == 0).into()),
            Token::Symbol("-") => self.unary()?.checked_neg(),
            Token::Symbol("(") => {
                let value = self.binary(0)?;
                self.accept(")").then_some(value)
            }
            Token::Symbol(_) => None,
        }
    }
}

fn precedence(symbol: &str) -> Option<u8> {
    Some(match symbol {
        "||" => 0,
        "&&" => 1,
        "|" => 2,
        "==" | "!=" => 3,
        "<" | ">" | "<=" | ">=" => 4,
        "<<" | ">>" => 5,
        "+" | "-" => 6,
        "*" => 7,
        _ => return None,
    })
}

fn apply(symbol: &str, left: i64, right: i64) -> Option<i64> {
    Some(match symbol {
        "||" => (left != 0 || right != 0).into(),
        "&&" => (left != 0 && right != 0).into(),
        "|" => left | right,
        "==" => (left == right).into(),
        "!=" => (left != right).into(),
        "<" => (left < right).into(),
        ">" => (left > right).into(),
        "<=" => (left <= right).into(),
        ">=" => (left >= right).into(),
        "<<" => left.checked_shl(right.try_into().ok()?)?,
        ">>" => left.checked_shr(right.try_into().ok()?)?,
        "+" => left.checked_add(right)?,
        "-" => left.checked_sub(right)?,
        "*" => left.checked_mul(right)?,
        _ => return None,
    })
}
