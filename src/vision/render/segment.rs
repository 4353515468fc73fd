//! A label map as a picture: the classes' colours over the photo or alone, outlines, names on large regions, and a
//! legend. Input is a photo, a [`LabelMap`] and the [`Class`]es with their colours; output an RGB picture of the
//! photo's size, or larger with a legend or the photo beside it.

use image::{Rgb, RgbImage};
use rayon::prelude::*;

use crate::error::Result;
use crate::model::head::Class;
use crate::system::memory::try_vec;
use crate::vision::postprocess::{ClassArea, LabelMap, NO_CLASS};
use crate::vision::render::captions::Captions;
use crate::vision::render::legend::{self, LegendEntry, Swatch};
use crate::vision::render::text::{Backing, TextStyle, draw_text, measure_text};
use crate::vision::render::{compose, name_placement, outline};

/// The parts of the picture that are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SegmentStyle {
    /// Opacity of the colours over the photo, 0..1; none for the colours alone.
    pub alpha: Option<f32>,
    /// Whether lines are drawn along the borders of the classes.
    pub outline: bool,
    /// Whether the names of classes are written on large regions.
    pub names: bool,
    /// Whether the photo is placed on the left of the picture.
    pub side_by_side: bool,
    /// Whether a legend is added.
    pub legend: bool,
}

/// The label map that is drawn, with its areas for the legend.
#[derive(Debug, Clone, Copy)]
pub struct SegmentContent<'a> {
    /// The label map; its ids are indices of the classes.
    pub map: &'a LabelMap,
    /// Its areas, the largest first.
    pub areas: &'a [ClassArea],
    /// Number of pixels without a class because none is probable enough; they have a line in the legend.
    pub unlabelled: u64,
}

/// The legend's name for pixels without a class.
const UNLABELLED: &str = "unlabelled";

/// Draws the map of `shown`, whose ids are indices of `classes` and of `captions`, with the parts of `style`.
///
/// # Errors
/// [`Error::Memory`](crate::Error::Memory) if the picture does not fit.
pub fn draw_segmentation(
    photo: &RgbImage,
    shown: &SegmentContent<'_>,
    classes: &[Class],
    style: &SegmentStyle,
    captions: &Captions,
) -> Result<RgbImage> {
    let SegmentContent {
        map,
        areas,
        unlabelled,
    } = *shown;
    let (width, height) = (map.width as u32, map.height as u32);
    let color_of = |id: u16| classes[usize::from(id)].color;
    let mut drawn = match style.alpha {
        Some(alpha) => blend_labels(photo, map, classes, alpha)?,
        None => color_labels(map, classes)?,
    };
    if style.outline {
        let reach = (width.min(height) as f32 / 400.0).round().max(1.0) as usize;
        match style.alpha {
            Some(_) => outline::draw_outlines(&mut drawn, map, reach, color_of),
            None => outline::draw_outlines(&mut drawn, map, reach, |_| [255; 3]),
        }
    }
    if style.names {
        draw_names(&mut drawn, map, captions);
    }
    if style.side_by_side {
        drawn = compose::side_by_side(photo, &drawn)?;
    }
    if !style.legend {
        return Ok(drawn);
    }
    let mut entries: Vec<LegendEntry> = areas
        .iter()
        .map(|area| LegendEntry {
            name: captions.name(usize::from(area.id)).into_owned(),
            swatch: Swatch::Color(color_of(area.id)),
            share: area.share,
        })
        .collect();
    if unlabelled > 0 {
        let share = unlabelled as f64 / map.ids.len() as f64;
        // In its place by size.
        let place = entries.partition_point(|entry| entry.share >= share);
        let entry = LegendEntry {
            name: UNLABELLED.to_owned(),
            swatch: match style.alpha {
                Some(_) => Swatch::Photo,
                None => Swatch::Color([0; 3]),
            },
            share,
        };
        entries.insert(place, entry);
    }
    legend::with_legend(&drawn, &entries, &captions.fonts)
}

/// Every pixel in the colour of its class; pixels of [`NO_CLASS`] are black.
///
/// # Errors
/// [`Error::Memory`](crate::Error::Memory) if the picture does not fit.
pub fn color_labels(map: &LabelMap, classes: &[Class]) -> Result<RgbImage> {
    let mut bytes = try_vec(0u8, 3 * map.ids.len())?;
    let width = map.width.max(1);
    let rows = bytes.par_chunks_mut(3 * width);
    rows.zip(map.ids.par_chunks(width)).for_each(|(row, ids)| {
        for (rgb, &id) in row.as_chunks_mut::<3>().0.iter_mut().zip(ids) {
            if id != NO_CLASS {
                *rgb = classes[usize::from(id)].color;
            }
        }
    });
    let (width, height) = (map.width as u32, map.height as u32);
    Ok(RgbImage::from_raw(width, height, bytes).unwrap_or_default())
}

/// The confidence of each pixel as a level from 0 (0.0) to 255 (1.0), `[height, width]`.
pub fn confidence_levels(map: &LabelMap) -> Vec<u8> {
    let byte = |&value: &f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
    map.confidence.iter().map(byte).collect()
}

/// The classes' colours over the photo with opacity `alpha` of 0..1; pixels of [`NO_CLASS`] show the photo alone.
fn blend_labels(
    photo: &RgbImage,
    map: &LabelMap,
    classes: &[Class],
    alpha: f32,
) -> Result<RgbImage> {
    // The blend of each level of the photo with each class's colour, so that pixels are only looked up.
    let mixes: Vec<[[u8; 256]; 3]> = classes
        .iter()
        .map(|class| {
            let over = |top| std::array::from_fn(|below| compose::mix(top, below as u8, alpha));
            class.color.map(over)
        })
        .collect();
    let line = 3 * map.width.max(1);
    let mut bytes = try_vec(0u8, photo.len())?;
    let rows = bytes.par_chunks_mut(line).zip(photo.par_chunks(line));
    rows.zip(map.ids.par_chunks(line / 3))
        .for_each(|((row, below), ids)| {
            let below = below.as_chunks::<3>().0;
            for ((rgb, &below), &id) in row.as_chunks_mut::<3>().0.iter_mut().zip(below).zip(ids) {
                *rgb = match mixes.get(usize::from(id)) {
                    Some([r, g, b]) => [
                        r[usize::from(below[0])],
                        g[usize::from(below[1])],
                        b[usize::from(below[2])],
                    ],
                    None => below,
                };
            }
        });
    Ok(RgbImage::from_raw(photo.width(), photo.height(), bytes).unwrap_or_default())
}

/// Writes the names of classes on their large regions.
fn draw_names(drawn: &mut RgbImage, map: &LabelMap, captions: &Captions) {
    let style = TextStyle {
        size: legend::text_size(drawn.dimensions()),
        color: Rgb([255; 3]),
        backing: Backing::Halo(Rgb([24; 3])),
    };
    let fonts = &captions.fonts;
    let name = |id: u16| captions.name(usize::from(id));
    let size_of = |id| measure_text(fonts, &name(id), style.size);
    for place in name_placement::place_names(map, size_of, style.margin()) {
        let name = name(place.id);
        let (width, height) = measure_text(fonts, &name, style.size);
        let corner = |centre: u32, side: u32| centre as i32 - side as i32 / 2;
        let at = (
            corner(place.centre.0, width),
            corner(place.centre.1, height),
        );
        draw_text(drawn, fonts, at, &name, &style);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::vision::render::Fonts;

    const LOOK: SegmentStyle = SegmentStyle {
        side_by_side: false,
        alpha: Some(0.5),
        outline: false,
        names: false,
        legend: false,
    };

    fn classes() -> Vec<Class> {
        let class = |name: &str, color| Class {
            name: name.into(),
            color,
        };
        vec![class("sky", [100, 0, 0]), class("sea", [0, 200, 0])]
    }

    fn map(width: usize, height: usize, ids: Vec<u16>) -> LabelMap {
        LabelMap {
            width,
            height,
            confidence: vec![0.5; ids.len()],
            ids,
        }
    }

    fn draw(map: &LabelMap, look: &SegmentStyle) -> RgbImage {
        let photo = RgbImage::from_pixel(map.width as u32, map.height as u32, Rgb([50; 3]));
        let classes = classes();
        let names = classes.iter().map(|class| class.name.as_str());
        let captions = Captions::new(names, Fonts::built_in());
        let shown = SegmentContent {
            map,
            areas: &map.areas(),
            unlabelled: map.ids.iter().filter(|id| **id == NO_CLASS).count() as u64,
        };
        draw_segmentation(&photo, &shown, &classes, look, &captions).unwrap()
    }

    #[test]
    fn the_legend_counts_what_has_no_class() {
        let legend = SegmentStyle {
            legend: true,
            ..LOOK
        };
        let full = map(90, 90, vec![0; 8100]);
        let half = map(
            90,
            90,
            (0..8100)
                .map(|i| if i < 4050 { 0 } else { NO_CLASS })
                .collect(),
        );
        // A line more: ink below the first line of the legend.
        let ink = |picture: &RgbImage| {
            let paper = Rgb([255; 3]);
            let line = (90..picture.width()).flat_map(|x| (34..54).map(move |y| (x, y)));
            line.filter(|&(x, y)| *picture.get_pixel(x, y) != paper)
                .count()
        };
        assert_eq!(ink(&draw(&full, &legend)), 0);
        assert!(ink(&draw(&half, &legend)) > 20);
    }

    #[test]
    fn colours_lie_over_the_photo_or_stand_alone() {
        let map = map(3, 1, vec![0, 1, NO_CLASS]);
        let over = draw(&map, &LOOK);
        assert_eq!(over.into_raw(), [75, 25, 25, 25, 125, 25, 50, 50, 50]);
        let alone = SegmentStyle {
            alpha: None,
            ..LOOK
        };
        let alone = draw(&map, &alone).into_raw();
        assert_eq!(alone, [100, 0, 0, 0, 200, 0, 0, 0, 0]);
        assert_eq!(confidence_levels(&map), [128; 3]);
    }

    #[test]
    fn each_wish_adds_to_the_picture() {
        let ids = (0..200 * 120).map(|i| u16::from(i % 200 >= 100)).collect();
        let map = map(200, 120, ids);
        let plain = draw(&map, &LOOK);
        let outlined = draw(
            &map,
            &SegmentStyle {
                outline: true,
                ..LOOK
            },
        );
        assert_eq!(outlined.get_pixel(99, 60).0, [100, 0, 0]);
        assert_eq!(outlined.get_pixel(100, 60).0, [0, 200, 0]);
        assert_eq!(outlined.get_pixel(50, 60), plain.get_pixel(50, 60));
        let named = draw(
            &map,
            &SegmentStyle {
                names: true,
                ..LOOK
            },
        );
        let changed = |left: u32| {
            let columns = left..left + 100;
            let differs = |x| (0..120).any(|y| named.get_pixel(x, y) != plain.get_pixel(x, y));
            columns.filter(|&x| differs(x)).count()
        };
        assert!(changed(0) > 10 && changed(100) > 10);
        let with_legend = draw(
            &map,
            &SegmentStyle {
                legend: true,
                ..LOOK
            },
        );
        assert!(with_legend.width() > 200);
    }
}
