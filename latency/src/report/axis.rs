//! One logarithmic axis for all that is shown of a metric, and the shape of a distribution along it.

use crate::result::Summary;

/// Milliseconds below which nothing is told apart.
const LEAST: f64 = 0.001;
/// Places of a shape at which its height is known.
const PLACES: u32 = 160;
/// How little and how much is smoothed, as a share of the axis.
const NARROWEST: f64 = 0.006;
const WIDEST: f64 = 0.025;
/// Decades up to which every mark has its number.
const LABELLED: f64 = 2.2;

/// A logarithmic axis.
pub(super) struct Axis {
    /// Decimal logarithm of the milliseconds at its left end.
    low: f64,
    /// Decades.
    width: f64,
    /// Marks, from left to right.
    pub(super) ticks: Vec<Tick>,
}

/// A mark of the axis.
pub(super) struct Tick {
    /// Milliseconds.
    pub(super) at: f64,
    /// Whether its number stands there.
    pub(super) labelled: bool,
}

impl Axis {
    /// For all that these have; none if they have nothing.
    pub(super) fn over<'a>(summaries: impl IntoIterator<Item = &'a Summary>) -> Option<Self> {
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for summary in summaries.into_iter().filter(|summary| summary.count > 0) {
            for ms in [summary.min, summary.max].into_iter().flatten() {
                (least, most) = (least.min(ms), most.max(ms));
            }
        }
        if !least.is_finite() || !most.is_finite() {
            return None;
        }
        let low = beside(least.max(LEAST) / 1.1, |step, ms| step <= ms, Iterator::last);
        let high = beside(most.max(LEAST) * 1.1, |step, ms| step >= ms, |mut steps| steps.next());
        let width = (high / low).log10();
        let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let ticks = powers
            .flat_map(|power| [1.0, 2.0, 5.0].map(|digit| (digit, digit * 10_f64.powi(power))))
            .filter(|(_, at)| (low * 0.999..=high * 1.001).contains(at))
            .map(|(digit, at)| Tick { at, labelled: digit == 1.0 || width < LABELLED });
        Some(Self { low: low.log10(), width, ticks: ticks.collect() })
    }

    /// Where it is, from 0 to 1.
    pub(super) fn place(&self, ms: f64) -> f64 {
        ((ms.max(LEAST).log10() - self.low) / self.width).clamp(0.0, 1.0)
    }

    /// A histogram as a path in a box that is 1 wide and 1 high: each value where it is and a little around it; as high
    /// as the box where there are most. It begins at the least of them and ends at the greatest.
    pub(super) fn shape(&self, histogram: &[(f64, u64)]) -> String {
        let points: Vec<_> = histogram.iter().map(|(ms, count)| (self.place(*ms), *count as f64)).collect();
        let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) else {
            return String::new();
        };
        let bandwidth = bandwidth(&points);
        let (from, to) = ((first - bandwidth / 2.0).max(0.0), (last + bandwidth / 2.0).min(1.0));
        let heights: Vec<_> = (0..=PLACES)
            .map(|place| {
                let x = from + (to - from) * f64::from(place) / f64::from(PLACES);
                let near = |(at, count): &(f64, f64)| count * (-((x - at) / bandwidth).powi(2) / 2.0).exp();
                (x, points.iter().map(near).sum::<f64>())
            })
            .collect();
        let highest = heights.iter().fold(0.0_f64, |highest, (_, height)| highest.max(*height));
        let places: Vec<_> =
            heights.iter().map(|(x, height)| format!("{x:.4} {:.3}", 1.0 - height / highest)).collect();
        format!("M{from:.4} 1L{}L{to:.4} 1z", places.join("L"))
    }
}

/// How far values are smoothed (Silverman's rule, by the middle half alone: the tails of latencies are long), as a share of
/// the axis. `points`: places and counts, in order.
fn bandwidth(points: &[(f64, f64)]) -> f64 {
    let all: f64 = points.iter().map(|(_, count)| count).sum();
    let quantile = |share: f64| {
        let mut sum = 0.0;
        let found = points.iter().find(|(_, count)| {
            sum += count;
            sum >= share * all
        });
        found.map_or(0.0, |(at, _)| *at)
    };
    let spread = (quantile(0.75) - quantile(0.25)) / 1.34;
    (0.9 * spread * all.powf(-0.2)).clamp(NARROWEST, WIDEST)
}

/// The step 1, 2 or 5 of any decade that is chosen of those of which something holds.
fn beside(
    ms: f64,
    holds: impl Fn(f64, f64) -> bool,
    chosen: impl FnOnce(std::vec::IntoIter<f64>) -> Option<f64>,
) -> f64 {
    let power = 10_f64.powf(ms.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power);
    let fitting: Vec<_> = steps.into_iter().filter(|step| holds(*step, ms)).collect();
    chosen(fitting.into_iter()).unwrap_or(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(histogram: &[(f64, u64)]) -> Summary {
        Summary {
            count: histogram.iter().map(|(_, count)| count).sum(),
            min: histogram.first().map(|(ms, _)| *ms),
            max: histogram.last().map(|(ms, _)| *ms),
            histogram: histogram.to_vec(),
            ..Summary::default()
        }
    }

    #[test]
    fn an_axis_has_all_that_is_shown_and_marks_at_round_numbers() {
        let axis = Axis::over([&of(&[(0.7, 1), (3.0, 5)]), &Summary::default(), &of(&[(40.0, 1)])]).unwrap();
        let labelled: Vec<_> = axis.ticks.iter().filter(|tick| tick.labelled).map(|tick| tick.at).collect();
        assert_eq!(labelled, [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0]);
        assert!(axis.place(0.7) > 0.0 && axis.place(40.0) < 1.0);
        assert!((axis.place(5.0) - 0.5).abs() < 1e-9, "a factor is a length");
        let wide = Axis::over([&of(&[(0.7, 1), (4000.0, 5)])]).unwrap();
        let labelled: Vec<_> = wide.ticks.iter().filter(|tick| tick.labelled).map(|tick| tick.at).collect();
        assert_eq!((labelled, wide.ticks.len()), (vec![1.0, 10.0, 100.0, 1000.0], 13));
    }

    #[test]
    fn there_is_an_axis_for_one_sample_and_for_no_time_at_all_and_none_for_nothing() {
        assert!(Axis::over([&Summary::default()]).is_none());
        for ms in [0.0, 0.004, 1.0, 1e6] {
            let axis = Axis::over([&of(&[(ms, 1)])]).unwrap();
            let place = axis.place(ms);
            assert!(place.is_finite() && (0.0..=1.0).contains(&place) && !axis.ticks.is_empty(), "{ms}");
        }
    }

    #[test]
    fn a_shape_is_highest_where_most_are_and_ends_where_they_end() {
        let histogram = [(1.0, 10), (1.1, 80), (1.2, 10), (50.0, 20)];
        let axis = Axis::over([&of(&histogram)]).unwrap();
        let path = axis.shape(&histogram);
        let places: Vec<(f64, f64)> = path
            .trim_start_matches('M')
            .trim_end_matches('z')
            .split('L')
            .map(|place| {
                let (x, y) = place.split_once(' ').unwrap();
                (x.parse().unwrap(), y.parse().unwrap())
            })
            .collect();
        let at = |x: f64| places.iter().min_by(|a, b| (a.0 - x).abs().total_cmp(&(b.0 - x).abs())).unwrap().1;
        assert!(at(axis.place(1.1)) < 0.05, "{path}");
        let smaller = 1.0 - at(axis.place(50.0));
        assert!((0.1..0.5).contains(&smaller), "{smaller}");
        assert!(places.iter().all(|(x, y)| (0.0..=1.0).contains(x) && (0.0..=1.0).contains(y)));
        let (first, last) = (places[0].0, places[places.len() - 1].0);
        assert!(
            (first - axis.place(1.0)).abs() < WIDEST && (last - axis.place(50.0)).abs() < WIDEST,
            "{path}"
        );
        assert!(at(axis.place(10.0)) > 0.99, "{path}");
    }
}
