//! Explanations of CUDA and cuBLAS errors: cause and remedy by the name of the error code.

/// The message of a candle error, explained by [`readable`].
pub(crate) fn reason(error: &candle_core::Error) -> String {
    readable(&error.to_string())
}

/// Names of error codes of the driver and of cuBLAS, with cause and remedy.
const MEANINGS: [(&str, &str); 17] = [
    (
        "CUDA_ERROR_NO_DEVICE",
        "the driver shows no GPU; see what nvidia-smi says, and what CUDA_VISIBLE_DEVICES leaves",
    ),
    (
        "CUDA_ERROR_INVALID_DEVICE",
        "there is no GPU of this number; they are counted from 0",
    ),
    ("CUDA_ERROR_OUT_OF_MEMORY", "its memory is full"),
    (
        "CUDA_ERROR_NO_BINARY_FOR_GPU",
        "this build has no kernels for this card; build for it, with its compute capability in CUDA_COMPUTE_CAP",
    ),
    (
        "CUDA_ERROR_INVALID_PTX",
        "this build has no kernels for this card; build for it, with its compute capability in CUDA_COMPUTE_CAP",
    ),
    (
        "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
        "the driver is older than the CUDA that this was built with; update the driver, or build with its CUDA",
    ),
    (
        "CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER",
        "the driver is older than the CUDA that this was built with; update the driver, or build with its CUDA",
    ),
    (
        "CUDA_ERROR_JIT_COMPILER_NOT_FOUND",
        "the driver's compiler of kernels (libnvidia-ptxjitcompiler) is missing; install the whole driver, or build for \
         this card, with its compute capability in CUDA_COMPUTE_CAP",
    ),
    (
        "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
        "libcuda.so.1 is of another version than the driver that is loaded; restart the machine after an update",
    ),
    (
        "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
        "CUDA's compatibility libraries do not support this card; update the driver instead",
    ),
    (
        "CUDA_ERROR_STUB_LIBRARY",
        "libcuda.so.1 is the toolkit's stub, not the driver's; take the stub's folder out of LD_LIBRARY_PATH",
    ),
    (
        "CUDA_ERROR_DEVICE_UNAVAILABLE",
        "another program has it for itself",
    ),
    (
        "CUDA_ERROR_SYSTEM_NOT_READY",
        "the system is not ready; start nvidia-fabricmanager where GPUs are joined by NVSwitch",
    ),
    (
        "CUDA_ERROR_ECC_UNCORRECTABLE",
        "its memory has an error that cannot be corrected",
    ),
    (
        "CUDA_ERROR_UNKNOWN",
        "the driver fails without a reason; see what nvidia-smi says",
    ),
    (
        "CUBLAS_STATUS_NOT_INITIALIZED",
        "cuBLAS cannot be started, mostly because memory is full",
    ),
    (
        "CUBLAS_STATUS_ARCH_MISMATCH",
        "cuBLAS does not support this card any more; build with an older CUDA",
    ),
];

/// The first line of the library's message `text`; a known error code is explained and named in brackets.
pub(crate) fn readable(text: &str) -> String {
    // The lines after the first are a backtrace.
    let line = text.lines().next().unwrap_or_default();
    let name = line
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .find(|word| word.starts_with("CUDA_ERROR_") || word.starts_with("CUBLAS_STATUS_"));
    let Some(name) = name else {
        return line.to_owned();
    };
    match MEANINGS.iter().find(|(known, _)| *known == name) {
        Some((_, meaning)) => format!("{meaning} ({name})"),
        // An unknown code: the driver's own sentence, if the message quotes it.
        None => match line.split('"').nth(1) {
            Some(sentence) => format!("{sentence} ({name})"),
            None => line.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_driver_are_told_in_words() {
        for (text, words) in [
            (
                "DriverError(CUDA_ERROR_NO_DEVICE, \"no CUDA-capable device is detected\")",
                "the driver shows no GPU",
            ),
            (
                "DriverError(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, \"the provided PTX was compiled with an unsupported \
                 toolchain.\") when loading affine\n   0: candle_core::trace",
                "the driver is older than the CUDA",
            ),
            (
                "CublasError(CUBLAS_STATUS_NOT_INITIALIZED)",
                "memory is full",
            ),
            (
                "DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"an illegal memory access was encountered\")",
                "an illegal memory access was encountered (CUDA_ERROR_ILLEGAL_ADDRESS)",
            ),
        ] {
            let told = readable(text);
            assert!(told.contains(words) && !told.contains("trace"), "{told}");
        }
        assert_eq!(readable("something else\nand more"), "something else");
    }
}
