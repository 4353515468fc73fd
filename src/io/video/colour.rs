//! Colour tags of a clip, and the ffmpeg filters that convert its samples to sRGB; HDR (PQ, HLG) is tone-mapped.

/// The colour tags of a clip, by ffmpeg's names; `None` for tags that the file lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColorTags {
    /// The primaries, such as `bt709` or `bt2020`.
    pub primaries: Option<String>,
    /// The transfer function, such as `bt709`, `smpte2084` (PQ) or `arib-std-b67` (HLG).
    pub transfer: Option<String>,
    /// The matrix from luma and chroma to RGB, such as `bt709` or `smpte170m`.
    pub matrix: Option<String>,
    /// The range of samples: `tv` for limited, `pc` for full.
    pub range: Option<String>,
}

/// Filters from decoded frames to RGB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RgbFilters {
    /// A chain for `-vf`.
    pub filters: String,
    /// A warning where colours are not exact, as a sentence whose subject is the clip.
    pub note: Option<&'static str>,
}

/// Colour features of the installed ffmpeg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FfmpegFeatures {
    /// Whether it has the filters `zscale` and `tonemap`.
    pub has_tone_mapping: bool,
    /// Whether its scaler has the option `threads`.
    pub has_scaler_threads: bool,
}

/// Scaler flags: accurate rounding, the same result on every machine, and chroma interpolated at full resolution.
pub(super) const SCALER_FLAGS: &str =
    "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact";

impl ColorTags {
    /// `PQ` or `HLG` if the transfer function is HDR, else `None`.
    pub fn hdr(&self) -> Option<&'static str> {
        match self.transfer.as_deref() {
            Some("smpte2084") => Some("PQ"),
            Some("arib-std-b67") => Some("HLG"),
            _ => None,
        }
    }

    /// The filters that give RGB frames of this width and height.
    pub(super) fn rgb_filters(
        &self,
        (width, height): (u32, u32),
        can: FfmpegFeatures,
    ) -> RgbFilters {
        let threads = if can.has_scaler_threads {
            ":threads=4"
        } else {
            ""
        };
        let scale =
            |more: &str| format!("scale=w={width}:h={height}:{SCALER_FLAGS}{threads}{more}");
        if self.hdr().is_some() && can.has_tone_mapping {
            return RgbFilters {
                filters: format!(
                    "{},{},format=rgb24",
                    self.tone_map_filters((width, height)),
                    scale("")
                ),
                note: None,
            };
        }
        // As players do for untagged clips: BT.709 for high definition, else BT.601.
        let matrix = match self.matrix.as_deref() {
            Some(_) => "",
            None if width >= 1280 || height > 576 => ":in_color_matrix=bt709",
            None => ":in_color_matrix=bt601",
        };
        let note = match (self.hdr(), self.primaries.as_deref()) {
            (Some(_), _) => Some(
                "is HDR, and this ffmpeg lacks the filters zscale and tonemap, so its colours are taken as they are, which is \
                 too pale and dark; install a full build of ffmpeg",
            ),
            (None, Some("bt2020")) => Some(
                "has the wide colours of BT.2020, which are taken as they are, a little too pale",
            ),
            _ => None,
        };
        RgbFilters {
            filters: format!("{},format=rgb24", scale(matrix)),
            note,
        }
    }

    /// Filters from HDR to sRGB: tone mapping in linear light by Hable's curve.
    fn tone_map_filters(&self, (width, height): (u32, u32)) -> String {
        // zscale does not accept subsampled chroma at odd sizes.
        let whole = match width % 2 == 1 || height % 2 == 1 {
            true => format!("scale={SCALER_FLAGS},format=yuv444p10le,"),
            false => String::new(),
        };
        let transfer = self.transfer.as_deref().unwrap_or("smpte2084");
        let primaries = match self.primaries.as_deref() {
            Some("bt709") => "709",
            _ => "2020",
        };
        let matrix = match self.matrix.as_deref() {
            Some("bt709") => "709",
            Some("bt2020c") => "2020_cl",
            _ => "2020_ncl",
        };
        let range = match self.range.as_deref() {
            Some("pc") => "full",
            _ => "limited",
        };
        format!(
            "{whole}zscale=tin={transfer}:pin={primaries}:min={matrix}:rin={range}:t=linear:npl=100:p=709,format=gbrpf32le,\
             tonemap=hable:desat=0,zscale=t=iec61966-2-1:p=709:m=gbr:r=full,format=gbrp"
        )
    }
}
