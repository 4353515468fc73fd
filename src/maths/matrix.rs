//! Matrix products (by the `gemm` crate) and column statistics of row-major slices, on all threads. The result does not
//! depend on the number of threads.

use gemm::Parallelism;
use rayon::prelude::*;

/// A view of a slice as a row-major matrix, or as its transpose.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, T> {
    values: &'a [T],
    rows: usize,
    cols: usize,
    transposed: bool,
}

impl<'a, T> Matrix<'a, T> {
    /// `values` as a matrix `[rows, cols]`, row-major.
    ///
    /// # Panics
    /// If there are other than `rows * cols` values.
    pub fn new(values: &'a [T], rows: usize, cols: usize) -> Self {
        assert_eq!(values.len(), rows * cols, "a matrix of {rows} x {cols}");
        Self {
            values,
            rows,
            cols,
            transposed: false,
        }
    }

    /// The transpose, as another view of the same values.
    pub fn t(self) -> Self {
        Self {
            transposed: !self.transposed,
            ..self
        }
    }

    /// Rows and columns, after transposition.
    fn shape(&self) -> (usize, usize) {
        match self.transposed {
            false => (self.rows, self.cols),
            true => (self.cols, self.rows),
        }
    }

    /// Column and row strides, after transposition.
    fn strides(&self) -> (isize, isize) {
        match self.transposed {
            false => (1, self.cols as isize),
            true => (self.cols as isize, 1),
        }
    }
}

/// A number type that products can be computed in.
pub trait MatrixElement: Copy + From<f32> + Send + Sync + 'static {}

impl MatrixElement for f32 {}
impl MatrixElement for f64 {}

/// `out = a b`, row-major; with `add`, `out += a b`.
///
/// # Panics
/// If the inner sides differ, or `out` does not have `m * n` numbers.
#[allow(unsafe_code)] // The kernels take pointers.
pub fn matmul<T: MatrixElement>(out: &mut [T], a: Matrix<'_, T>, b: Matrix<'_, T>, add: bool) {
    let ((m, k), (k_of_b, n)) = (a.shape(), b.shape());
    assert_eq!(k, k_of_b, "inner sides of a product");
    assert_eq!(out.len(), m * n, "the result of a product");
    let ((a_cs, a_rs), (b_cs, b_rs)) = (a.strides(), b.strides());
    // SAFETY: all three slices are as long as their shapes and strides say, which was checked just now and in
    // `Matrix::new`, and `out` is borrowed alone.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            add,
            a.values.as_ptr(),
            a_cs,
            a_rs,
            b.values.as_ptr(),
            b_cs,
            b_rs,
            T::from(1.0),
            T::from(1.0),
            false,
            false,
            false,
            Parallelism::Rayon(0),
        );
    }
}

/// Means of the `width` columns of `rows`, in f64; `fill` writes a row's `width` numbers. Zeros if there are no rows.
pub fn column_means<T: Sync>(
    rows: &[T],
    width: usize,
    fill: impl Fn(&T, &mut [f32]) + Sync,
) -> Vec<f64> {
    mapped_column_means(rows, &vec![0.0; width], fill, |v| v)
}

/// Population standard deviations of the columns of `rows`, in f64, from their `means` by [`column_means`].
pub fn column_deviations<T: Sync>(
    rows: &[T],
    means: &[f64],
    fill: impl Fn(&T, &mut [f32]) + Sync,
) -> Vec<f64> {
    let variances = mapped_column_means(rows, means, fill, |v| v * v);
    variances.into_iter().map(f64::sqrt).collect()
}

/// Column means of `f(value - about)`, summed in chunks of rows in a fixed order.
fn mapped_column_means<T: Sync>(
    rows: &[T],
    about: &[f64],
    fill: impl Fn(&T, &mut [f32]) + Sync,
    f: impl Fn(f64) -> f64 + Sync,
) -> Vec<f64> {
    let width = about.len();
    let parts: Vec<Vec<f64>> = rows
        .par_chunks(1024)
        .map(|chunk| {
            let mut sum = vec![0f64; width];
            let mut row = vec![0f32; width];
            for item in chunk {
                fill(item, &mut row);
                for ((sum, &v), about) in sum.iter_mut().zip(&row).zip(about) {
                    *sum += f(f64::from(v) - about);
                }
            }
            sum
        })
        .collect();
    let n = rows.len().max(1) as f64;
    (0..width)
        .map(|column| parts.iter().map(|part| part[column]).sum::<f64>() / n)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposes_and_sums() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]; // 2 x 3
        let b = [1.0, 0.0, 2.0, 1.0, 0.0, 3.0]; // 3 x 2
        let mut out = [0f32; 4];
        matmul(
            &mut out,
            Matrix::new(&a, 2, 3),
            Matrix::new(&b, 3, 2),
            false,
        );
        assert_eq!(out, [5.0, 11.0, 14.0, 23.0]);
        matmul(&mut out, Matrix::new(&a, 2, 3), Matrix::new(&b, 3, 2), true);
        assert_eq!(out, [10.0, 22.0, 28.0, 46.0]);
        let mut square = [0.0; 9];
        matmul(
            &mut square,
            Matrix::new(&a, 2, 3).t(),
            Matrix::new(&b, 3, 2).t(),
            false,
        );
        assert_eq!(square, [1.0, 6.0, 12.0, 2.0, 9.0, 15.0, 3.0, 12.0, 18.0]);
    }
}
