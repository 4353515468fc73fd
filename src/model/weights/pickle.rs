//! A guarded wrapper of candle's restricted pickle machine.
//!
//! In: the bytes of a pickle, protocol 2. Out: an [`Object`] of plain data and references to tensors; nothing is
//! called. Two guards are added to candle's machine: a file that names a class outside a short list is refused, and so
//! is one with more than [`MAX_OBJECTS`] objects or deeper than [`MAX_DEPTH`], for a few bytes of pickle can describe
//! terabytes.

use candle_core::pickle::{Object, Stack};

/// Most objects of one pickle; more count as an attack.
const MAX_OBJECTS: usize = 5_000_000;
/// Deepest nesting of objects.
const MAX_DEPTH: usize = 64;

/// Reads one pickle from the start of `text` and moves `text` past it. Candle's machine runs one instruction at a time,
/// with a check before and after each.
///
/// # Errors
/// Why the pickle is refused, as a part of a sentence about the file.
pub(super) fn unpickle(text: &mut &[u8]) -> Result<Object, String> {
    let mut stack = Stack::empty();
    let mut count = 0;
    loop {
        let cut_short = || "its pickle ends too early".to_owned();
        let length =
            |bytes: &[u8]| Some(u32::from_le_bytes(bytes.get(1..5)?.try_into().ok()?) as usize);
        match text.first().ok_or_else(cut_short)? {
            // The stated lengths of a text and of a long integer, which candle does not check.
            b'X' if length(text).is_none_or(|length| length > text.len()) => {
                return Err(cut_short());
            }
            0x8a if text.get(1).is_none_or(|length| *length > 8) => {
                return Err("holds an integer beyond 64 bits".to_owned());
            }
            _ => {}
        }
        let done = stack.read(text).map_err(|error| {
            // Without the backtrace that candle appends where RUST_BACKTRACE is set.
            let error = error.to_string();
            let first = error.lines().next().unwrap_or_default();
            format!(
                "its pickle is not that of a state dict ({first}); torch.save with pickle_protocol=2, its default, \
                 writes one that can be read"
            )
        })?;
        if let Some(top) = stack.stack().last() {
            if let Object::Class {
                module_name,
                class_name,
            } = top
                && !harmless(module_name, class_name)
            {
                return Err(format!(
                    "its pickle asks for `{module_name}.{class_name}`, which no weights need; nothing of it was run. \
                     If you trust the file, save only its state dict with torch.save"
                ));
            }
            count_objects(top, 0, &mut count)?;
        }
        if done {
            return stack
                .finalize()
                .map_err(|_| "its pickle is empty".to_owned());
        }
    }
}

/// Whether checkpoints of tensors and settings refer to this class; none of them is called either.
fn harmless(module: &str, class: &str) -> bool {
    match module {
        "collections" => matches!(class, "OrderedDict" | "defaultdict" | "Counter"),
        "torch" => {
            class.ends_with("Storage")
                || matches!(class, "Size" | "device" | "Tensor")
                || class.contains("float")
                || class.contains("int")
        }
        "torch._utils" => class.starts_with("_rebuild_"),
        "torch._tensor" => class == "_rebuild_from_type_v2",
        "torch.nn.parameter" => class == "Parameter",
        "torch.storage" => class.ends_with("Storage"),
        "argparse" => class == "Namespace",
        "numpy" => matches!(class, "dtype" | "ndarray"),
        "numpy.core.multiarray" | "numpy._core.multiarray" => {
            matches!(class, "scalar" | "_reconstruct")
        }
        "_codecs" => class == "encode",
        "pathlib" => class.ends_with("Path"),
        "builtins" | "__builtin__" => {
            matches!(class, "set" | "frozenset" | "complex" | "bytearray")
        }
        _ => false,
    }
}

/// Adds the number of objects under `object` to `count`; an error when they are too many or too deep.
fn count_objects(object: &Object, depth: usize, count: &mut usize) -> Result<(), String> {
    *count += 1;
    if depth > MAX_DEPTH || *count > MAX_OBJECTS {
        return Err(
            "its pickle nests or repeats objects without end; expected the weights of a backbone"
                .to_owned(),
        );
    }
    match object {
        Object::Tuple(items) | Object::List(items) => items
            .iter()
            .try_for_each(|item| count_objects(item, depth + 1, count)),
        Object::Dict(entries) => entries.iter().try_for_each(|(key, value)| {
            count_objects(key, depth + 1, count)?;
            count_objects(value, depth + 1, count)
        }),
        Object::Reduce { callable, args } | Object::Build { callable, args } => {
            count_objects(callable, depth + 1, count)?;
            count_objects(args, depth + 1, count)
        }
        Object::PersistentLoad(inner) => count_objects(inner, depth + 1, count),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_pickle_that_would_run_something_is_refused() {
        for (module, call) in [
            ("os", "system"),
            ("posix", "system"),
            ("builtins", "eval"),
            ("torch.hub", "load"),
            ("subprocess", "Popen"),
        ] {
            let text = format!("\x02c{module}\n{call}\nX\x04\x00\x00\x00true\u{7f}");
            let mut bytes = vec![0x80];
            bytes.extend(text.trim_end_matches('\u{7f}').as_bytes());
            bytes.extend([0x85, b'R', b'.']);
            let why = unpickle(&mut bytes.as_slice()).unwrap_err();
            assert!(
                why.contains(&format!("asks for `{module}.{call}`"))
                    && why.contains("nothing of it was run"),
                "{why}"
            );
        }
    }

    #[test]
    fn hostile_pickles_neither_panic_nor_eat_memory() {
        // A tuple of the previous tuple twice, forty times over: 2^40 objects.
        let mut doubling = vec![0x80, 2, b')', b'q', 0];
        for _ in 0..40 {
            doubling.extend([b'h', 0, b'h', 0, 0x86, b'q', 0]);
        }
        let deep = [vec![0x80, 2, b')'], vec![0x85; 1_000_000], vec![b'.']].concat();
        for bytes in [doubling, deep] {
            assert!(
                unpickle(&mut bytes.as_slice())
                    .unwrap_err()
                    .contains("without end")
            );
        }
        for bytes in [
            &b""[..],
            b"\x80",
            b"\x80\x02X\xff\xff\xff\xffabc",
            b"\x80\x02\x8a\xff",
            b"\x80\x02h\x05.",
            b"\x80\x02t.",
            b"\x80\x02.",
            b"\x80\x04\x95.",
        ] {
            assert!(unpickle(&mut &bytes[..]).is_err(), "{bytes:?}");
        }
    }
}
