//! The values of the tag PhotometricInterpretation (262): which colours the samples of a TIFF are (TIFF 6.0, section 8
//! and sections 16 to 23; supplement ICC L*a*b*).

/// Grey or black and white, 0 is white.
pub(super) const WHITE_IS_ZERO: u16 = 0;
/// Grey or black and white, 0 is black.
pub(super) const BLACK_IS_ZERO: u16 = 1;
/// Red, green, blue.
pub(super) const RGB: u16 = 2;
/// Indices into the colour map (tag 320).
pub(super) const PALETTE: u16 = 3;
/// A transparency mask.
pub(super) const MASK: u16 = 4;
/// Inks, usually CMYK.
pub(super) const SEPARATED: u16 = 5;
/// Luma and chroma.
pub(super) const YCBCR: u16 = 6;
/// CIE L*a*b*, a* and b* signed.
pub(super) const CIE_LAB: u16 = 8;
/// CIE L*a*b* as ICC encodes it.
pub(super) const ICC_LAB: u16 = 9;
/// CIE L*a*b* as ITU-T T.42 encodes it.
pub(super) const ITU_LAB: u16 = 10;
