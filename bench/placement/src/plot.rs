//! Draws the gains of a mix over remote bandwidth, a line for each size of cache.
//! Leaves out the numbers: those are `measure`'s.

use crate::measure::{BANDWIDTHS, CACHES, Curve};
use crate::mixes::Mix;
use anyhow::Result;
use plotters::prelude::*;
use std::path::Path;

const SIZE: (u32, u32) = (720, 420);
const COLOURS: [RGBColor; 4] = [RGBColor(120, 120, 120), RGBColor(214, 126, 44), RGBColor(44, 122, 180), RGBColor(34, 139, 84)];

pub(crate) fn draw(curve: &Curve, mix: Mix, path: &Path) -> Result<()> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let most = curve.gains.iter().flatten().copied().filter(|gain| gain.is_finite()).fold(1.5, f64::max);
    let mut chart = ChartBuilder::on(&area)
        .caption(format!("{}: how many times as fast the mean job is", mix.name()), ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(48)
        .build_cartesian_2d((BANDWIDTHS[0]..BANDWIDTHS[BANDWIDTHS.len() - 1]).log_scale(), 0.8..most * 1.05)?;
    chart.configure_mesh().x_desc("MB/s of the remote store for each node").y_desc("default ÷ ours").light_line_style(WHITE).draw()?;
    chart.draw_series(LineSeries::new(BANDWIDTHS.iter().map(|x| (*x, 1.0)), BLACK.mix(0.4)))?;
    for ((cache, gains), colour) in CACHES.iter().zip(&curve.gains).zip(COLOURS) {
        let points = BANDWIDTHS.iter().copied().zip(gains.iter().copied()).filter(|(_, gain)| gain.is_finite());
        let label = chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
        label
            .label(format!("{cache} GB of cache"))
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3)).draw()?;
    area.present()?;
    Ok(())
}
