// SPDX-License-Identifier: BSD-2-Clause
//! Charts as SVG text. Colours are classes, which the page's style sheet fills in for light and for dark.

use std::fmt::Write;

use crate::names::{escaped, seconds, short};

/// A line over time.
pub struct Series {
    /// What it is.
    pub name: String,
    /// Its colour: `c0` and so on.
    pub class: String,
    /// Seconds and values, by time. The value holds until the next point.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 960.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 28.0;

/// The opening tag of a chart that is `width` by `height` units. `id` finds it in the page, `title` says what it shows.
fn open(id: &str, title: &str, width: f64, height: f64) -> String {
    format!(
        "<svg id=\"{id}\" role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {width} {height}\">",
        escaped(title)
    )
}

/// The step between grid lines for values up to `most`: a power of two for bytes.
fn byte_step(most: f64) -> f64 {
    let mut step = 4096.0;
    while most / step > 5.0 {
        step *= 2.0;
    }
    step
}

/// The step between grid lines for times up to `most`: 1, 2 or 5 times a power of ten.
fn time_step(most: f64) -> f64 {
    let power = 10f64.powf((most / 8.0).max(1e-9).log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let mut steps = factors.map(|factor| factor * power).into_iter();
    steps.find(|step| most / step <= 8.0).unwrap_or(power)
}

/// Bytes over time, each line as steps.
pub fn lines(id: &str, title: &str, series: &[Series], length: f64) -> String {
    let height = 300.0;
    let points = series.iter().flat_map(|series| &series.points);
    let most = points.fold(1.0f64, |most, (_, value)| most.max(*value));
    let step = byte_step(most);
    let top = (most / step).ceil() * step;
    let length = length.max(1e-6);
    let x = |time: f64| LEFT + time / length * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| TOP + (1.0 - value / top) * (height - TOP - BOTTOM);
    let mut svg = open(id, title, WIDTH, height);
    let mut value = 0.0;
    while value <= top {
        let at = y(value);
        let label = crate::names::bytes(value as u64);
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{}\"/><text class=\"y\" x=\"{}\" y=\"{:.1}\">{label}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0
        );
        value += step;
    }
    let step = time_step(length);
    let mut count = 0.0;
    while count * step <= length {
        let (at, time) = (x(count * step), count * step);
        let label = match time {
            0.0 => "0".into(),
            // One unit for the whole axis.
            _ if length >= 1.0 => format!("{} s", short(time)),
            _ => seconds(time),
        };
        let _ = write!(
            svg,
            "<text class=\"x\" x=\"{at:.1}\" y=\"{}\">{label}</text>",
            height - 8.0
        );
        count += 1.0;
    }
    for series in series {
        let Some((first, rest)) = series.points.split_first() else {
            continue;
        };
        let mut path = format!("M{:.1} {:.1}", x(first.0), y(first.1));
        for (time, value) in rest {
            let _ = write!(path, "H{:.1}V{:.1}", x(*time), y(*value));
        }
        let peak = series.points.iter().fold(0.0f64, |most, it| most.max(it.1));
        let _ = write!(
            svg,
            "<path class=\"line {}\" d=\"{path}\"><title>{}: at most {}</title></path>",
            series.class,
            escaped(&series.name),
            crate::names::bytes(peak as u64)
        );
    }
    svg + "</svg>"
}

/// Columns side by side: for each label a value of each series, which is a name, a class and its values. The height grows
/// with the logarithm: a single one and a million can both be seen.
pub fn columns(
    id: &str,
    title: &str,
    labels: &[String],
    series: &[(&str, &str, Vec<u64>)],
) -> String {
    let height = 220.0;
    let tall = |value: u64| (value as f64 + 1.0).log2();
    let values = series.iter().flat_map(|(_, _, values)| values);
    let most = values.fold(1.0f64, |most, value| most.max(tall(*value)));
    let (base, room) = (height - BOTTOM, height - BOTTOM - 24.0);
    let slot = WIDTH / labels.len().max(1) as f64;
    let bar = (slot * 0.8 / series.len().max(1) as f64).min(40.0);
    let mut svg = open(id, title, WIDTH, height);
    let _ = write!(svg, "<path class=\"axis\" d=\"M0 {base}H{WIDTH}\"/>");
    for (index, label) in labels.iter().enumerate() {
        let middle = (index as f64 + 0.5) * slot;
        let label = escaped(label);
        let _ = write!(
            svg,
            "<text class=\"x\" x=\"{middle:.1}\" y=\"{}\">{label}</text>",
            height - 8.0
        );
        for (number, (name, class, values)) in series.iter().enumerate() {
            let value = values.get(index).copied().unwrap_or(0);
            if value == 0 {
                continue;
            }
            let tall = tall(value) / most * room;
            let left = middle - bar * series.len() as f64 / 2.0 + number as f64 * bar;
            let (top, shown) = (base - tall, crate::names::grouped(value));
            let _ = write!(
                svg,
                "<rect class=\"fill {class}\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{tall:.1}\" rx=\"2\">\
                 <title>{}, {label}: {shown}</title></rect>\
                 <text class=\"value\" x=\"{:.1}\" y=\"{:.1}\">{shown}</text>",
                left + 1.0,
                bar - 2.0,
                escaped(name),
                left + bar / 2.0,
                top - 5.0
            );
        }
    }
    svg + "</svg>"
}

/// A row of [`rows`]: what, how much of how much, and the same in words.
pub struct Row {
    /// What.
    pub label: String,
    /// How long the bar is.
    pub value: f64,
    /// How long it could be; the rest is shown as empty.
    pub of: f64,
    /// What stands behind it.
    pub text: String,
    /// Its colour.
    pub class: &'static str,
}

/// Bars from left to right. `most` is the value of a whole row; without it each row is as long as the chart.
pub fn rows(id: &str, title: &str, rows: &[Row], most: Option<f64>) -> String {
    let (label, text, line) = (190.0, 270.0, 26.0);
    let room = WIDTH - label - text;
    let height = rows.len() as f64 * line + 6.0;
    let mut svg = open(id, title, WIDTH, height);
    for (index, row) in rows.iter().enumerate() {
        let top = index as f64 * line + 4.0;
        let whole = most.unwrap_or(row.of).max(1e-9);
        let (track, bar) = (row.of / whole * room, row.value / whole * room);
        let name = escaped(&row.label);
        let _ = write!(
            svg,
            "<text class=\"y\" x=\"{}\" y=\"{:.1}\">{name}</text>\
             <rect class=\"track\" x=\"{label}\" y=\"{top:.1}\" width=\"{track:.1}\" height=\"18\" rx=\"2\"/>",
            label - 8.0,
            top + 13.5,
        );
        if row.value > 0.0 {
            let _ = write!(
                svg,
                "<rect class=\"fill {}\" x=\"{label}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"18\" rx=\"2\">\
                 <title>{name}: {}</title></rect>",
                row.class,
                bar.max(1.5),
                escaped(&row.text)
            );
        }
        let _ = write!(
            svg,
            "<text class=\"after\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            label + track + 8.0,
            top + 13.5,
            escaped(&row.text)
        );
    }
    svg + "</svg>"
}

/// Squares in rows of `across`, each with a class, how strongly it is filled (0 to 1), and what it says when pointed at.
pub fn cells(id: &str, title: &str, cells: &[(&str, f64, String)], across: usize) -> String {
    let size = WIDTH / across as f64;
    let height = cells.len().div_ceil(across) as f64 * size;
    let mut svg = open(id, title, WIDTH, height);
    for (index, (class, strength, text)) in cells.iter().enumerate() {
        let (x, y) = (index % across, index / across);
        let (x, y) = (x as f64 * size, y as f64 * size);
        let side = size - 2.0;
        let _ = write!(
            svg,
            "<g><title>{}</title><rect class=\"cell\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{side:.1}\" height=\"{side:.1}\" rx=\"2\"/>",
            escaped(text)
        );
        if *strength > 0.0 {
            // A page of 512 must still be seen.
            let opacity = 0.18 + 0.82 * strength;
            let _ = write!(
                svg,
                "<rect class=\"fill {class}\" opacity=\"{opacity:.2}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{side:.1}\" \
                 height=\"{side:.1}\" rx=\"2\"/>"
            );
        }
        svg.push_str("</g>");
    }
    svg + "</svg>"
}

/// The legend of a chart: classes and names.
pub fn legend<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut html = String::from("<p class=\"legend\">");
    for (class, name) in entries {
        let _ = write!(
            html,
            "<span><i class=\"swatch {class}\"></i>{}</span>",
            escaped(name)
        );
    }
    html + "</p>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grid_lines_are_few_and_round() {
        assert_eq!(byte_step(1.0), 4096.0);
        assert_eq!(byte_step((7 << 20) as f64), (2 << 20) as f64);
        assert_eq!(time_step(8.0), 1.0);
        assert!((time_step(0.9) - 0.2).abs() < 1e-9);
        assert!((time_step(37.0) - 5.0).abs() < 1e-9);
    }

    #[test]
    fn names_can_be_anything() {
        let series = Series {
            name: "<b>".into(),
            class: "c0".into(),
            points: vec![(0.0, 1.0), (1.0, 2.0)],
        };
        let svg = lines("a", "t", &[series], 1.0);
        assert!(svg.contains("&lt;b&gt;") && !svg.contains("<b>"));
        assert!(svg.ends_with("</svg>"));
        assert!(lines("a", "t", &[], 0.0).starts_with("<svg id=\"a\""));
    }
}
