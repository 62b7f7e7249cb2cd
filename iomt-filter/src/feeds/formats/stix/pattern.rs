//! The grammar of STIX patterns (STIX 2.1 part 9, "STIX Patterning"), as far as it goes without meaning.
//!
//! A text comes in, an expression goes out, or nothing where it is no pattern. What an expression means, and whether
//! a list can express it, is [`super::meaning`]'s.

use winnow::ascii::multispace0;
use winnow::combinator::{alt, delimited, not, opt, peek, preceded, repeat, separated, terminated};
use winnow::error::ContextError;
use winnow::token::{any, none_of, one_of, take_while};
use winnow::{Parser, Result};

/// How deep parentheses may stand in each other.
const DEEPEST: usize = 32;

/// What is to be observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Observation {
    /// A single `[…]`.
    One(Comparison),
    /// Joined by `OR`.
    Any(Vec<Observation>),
    /// Joined by `AND`.
    All(Vec<Observation>),
    /// Joined by `FOLLOWEDBY`, or with `WITHIN`, `REPEATS`, `START`.
    Timed,
}

/// What is to be true of what is observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// A single test.
    One(Test),
    /// Joined by `OR`.
    Any(Vec<Comparison>),
    /// Joined by `AND`.
    All(Vec<Comparison>),
}

/// A test of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    /// The kind of object, as `ipv4-addr`.
    pub(crate) object: String,
    /// The path in it, as `dst_ref.value`.
    pub(crate) property: String,
    /// How it is compared.
    pub(crate) operator: Operator,
    /// What with.
    pub(crate) values: Vec<Literal>,
}

/// How a property is compared, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    /// `=`
    Equal,
    /// `IN`
    In,
    /// `ISSUBSET`
    Subset,
    /// Any other, and all with `NOT`.
    Other,
}

/// A constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Literal {
    /// A text, its escapes undone.
    Text(String),
    /// A whole number.
    Whole(String),
    /// Anything else.
    Other,
}

/// Reads a pattern.
pub(crate) fn parse(text: &str) -> Option<Observation> {
    let mut depth = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return None;
        }
    }
    observations.parse(text).ok()
}

fn observations(input: &mut &str) -> Result<Observation> {
    let ordered: Vec<Observation> = separated(1.., alternatives, keyword("FOLLOWEDBY")).parse_next(input)?;
    Ok(single(ordered, |_| Observation::Timed))
}

fn alternatives(input: &mut &str) -> Result<Observation> {
    let parts: Vec<Observation> = separated(1.., together, keyword("OR")).parse_next(input)?;
    Ok(single(parts, Observation::Any))
}

fn together(input: &mut &str) -> Result<Observation> {
    let parts: Vec<Observation> = separated(1.., observation, keyword("AND")).parse_next(input)?;
    Ok(single(parts, Observation::All))
}

fn observation(input: &mut &str) -> Result<Observation> {
    let inner = alt((
        delimited(sign('['), comparisons, sign(']')).map(Observation::One),
        delimited(sign('('), observations, sign(')')),
    ))
    .parse_next(input)?;
    let qualifiers: Vec<()> = repeat(0.., qualifier).parse_next(input)?;
    Ok(if qualifiers.is_empty() { inner } else { Observation::Timed })
}

fn qualifier(input: &mut &str) -> Result<()> {
    let number = || spaced(literal);
    alt((
        (keyword("WITHIN"), number(), keyword("SECONDS")).void(),
        (keyword("REPEATS"), number(), keyword("TIMES")).void(),
        (keyword("START"), number(), keyword("STOP"), number()).void(),
    ))
    .parse_next(input)
}

fn comparisons(input: &mut &str) -> Result<Comparison> {
    let parts: Vec<Comparison> = separated(1.., conjunction, keyword("OR")).parse_next(input)?;
    Ok(single(parts, Comparison::Any))
}

fn conjunction(input: &mut &str) -> Result<Comparison> {
    let parts: Vec<Comparison> = separated(1.., comparison, keyword("AND")).parse_next(input)?;
    Ok(single(parts, Comparison::All))
}

fn comparison(input: &mut &str) -> Result<Comparison> {
    alt((delimited(sign('('), comparisons, sign(')')), test.map(Comparison::One))).parse_next(input)
}

fn test(input: &mut &str) -> Result<Test> {
    if opt(keyword("EXISTS")).parse_next(input)?.is_some() {
        let (object, property) = spaced(path).parse_next(input)?;
        return Ok(Test { object, property, operator: Operator::Other, values: Vec::new() });
    }
    let is_negated = opt(keyword("NOT")).parse_next(input)?.is_some();
    let (object, property) = spaced(path).parse_next(input)?;
    let is_negated = opt(keyword("NOT")).parse_next(input)?.is_some() || is_negated;
    let operator = spaced(operator).parse_next(input)?;
    let values = match operator {
        Operator::In => {
            delimited(sign('('), separated(1.., spaced(literal), ','), sign(')')).parse_next(input)?
        }
        Operator::Equal | Operator::Subset | Operator::Other => vec![spaced(literal).parse_next(input)?],
    };
    let operator = if is_negated { Operator::Other } else { operator };
    Ok(Test { object, property, operator, values })
}

fn operator(input: &mut &str) -> Result<Operator> {
    alt((
        alt(("!=", "<>", "<=", ">=", "<", ">")).value(Operator::Other),
        alt(("==", "=")).value(Operator::Equal),
        keyword("IN").value(Operator::In),
        keyword("ISSUBSET").value(Operator::Subset),
        alt((keyword("LIKE"), keyword("MATCHES"), keyword("ISSUPERSET"))).value(Operator::Other),
    ))
    .parse_next(input)
}

/// An object path `type:property.property[*].'quoted'`.
fn path(input: &mut &str) -> Result<(String, String)> {
    let object = name.parse_next(input)?.to_owned();
    ':'.parse_next(input)?;
    let index = delimited('[', alt(("*", take_while(1.., '0'..='9'))), ']').void();
    let part = || alt((text.void(), name.void()));
    let rest = repeat::<_, _, (), _, _>(0.., alt((preceded('.', part()), index)));
    let property = (part(), rest).take().parse_next(input)?.to_owned();
    Ok((object, property))
}

fn name<'i>(input: &mut &'i str) -> Result<&'i str> {
    take_while(1.., |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).parse_next(input)
}

fn literal(input: &mut &str) -> Result<Literal> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    alt((
        text.map(Literal::Text),
        preceded(one_of(['t', 'b', 'h']), text).value(Literal::Other),
        terminated(take_while(1.., '0'..='9'), not(one_of(word)))
            .map(|digits: &str| Literal::Whole(digits.into())),
        terminated(alt(("true", "false")), not(one_of(word))).value(Literal::Other),
        (opt(one_of(['+', '-'])), take_while(1.., |c: char| c.is_ascii_digit() || c == '.'))
            .value(Literal::Other),
    ))
    .parse_next(input)
}

/// A text in single quotes, in which `\` takes the next sign as it is.
fn text(input: &mut &str) -> Result<String> {
    let part = alt((preceded('\\', any), none_of(['\'', '\\'])));
    let content = repeat(0.., part).fold(String::new, |mut text, c| {
        text.push(c);
        text
    });
    delimited('\'', content, '\'').parse_next(input)
}

fn keyword<'i>(word: &'static str) -> impl Parser<&'i str, (), ContextError> {
    let end = peek(not(one_of(|c: char| c.is_ascii_alphanumeric() || c == '_')));
    delimited(multispace0, (word, end).void(), multispace0)
}

fn sign<'i>(sign: char) -> impl Parser<&'i str, (), ContextError> {
    spaced(sign.void())
}

fn spaced<'i, O>(parser: impl Parser<&'i str, O, ContextError>) -> impl Parser<&'i str, O, ContextError> {
    delimited(multispace0, parser, multispace0)
}

/// The part itself where there is one alone.
fn single<T>(mut parts: Vec<T>, join: impl FnOnce(Vec<T>) -> T) -> T {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            join(parts)
        }
    }
}
