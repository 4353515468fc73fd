//! `cargo bench`: the CPU's kernels one by one, on every vector unit of this machine, and the stages around them.
//!
//! Sizes are those of one panel (48 tokens) of ViT-S/14 among the 1370 tokens of a 518 x 518 photo. Divan prints the
//! arithmetic rate of the products as items: one item is one floating-point operation.

use dino::model::backbone::cpu::attention::{
    AttentionJob, MAX_QUERY_PANELS, SCRATCH_LINES, attention,
};
use dino::model::backbone::cpu::matmul::{CpuEpilogue, PackedLinear, linear};
use dino::model::backbone::cpu::panel::{PANEL_TOKENS, ROW_LINES, split_into_panels, zeroed_panel};
use dino::model::backbone::cpu::pointwise::{self, CpuLayerNorm};
use dino::model::backbone::cpu::simd::{CacheLine, Isa, as_floats_mut};
use divan::Bencher;
use divan::counter::ItemsCount;

const DIM: usize = 384;
const HEAD: usize = 64;
const TOKENS: usize = 1370;

fn main() {
    divan::main();
}

fn units() -> Vec<usize> {
    (0..Isa::available().len()).collect()
}

fn numbers(n: usize) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(0);
    (0..n).map(|_| random.f32() - 0.5).collect()
}

fn product(bencher: Bencher, unit: usize, (outputs, inputs): (usize, usize), finish: CpuEpilogue) {
    let isa = Isa::available()[unit];
    let layer = PackedLinear::new(isa, &numbers(outputs * inputs), &numbers(outputs), |_| 1.0);
    let (x, mut out) = (zeroed_panel(inputs), zeroed_panel(outputs));
    bencher
        .counter(ItemsCount::new(2 * PANEL_TOKENS * outputs * inputs))
        .bench_local(|| linear(isa, &layer, &x, &mut out, ROW_LINES, finish));
}

/// Queries, keys and values; the argument is the place of the vector unit in `Isa::available()`, 0 the best.
#[divan::bench(args = units())]
fn qkv(bencher: Bencher, unit: usize) {
    product(bencher, unit, (3 * DIM, DIM), CpuEpilogue::Store);
}

#[divan::bench(args = units())]
fn fc1_with_gelu(bencher: Bencher, unit: usize) {
    product(bencher, unit, (4 * DIM, DIM), CpuEpilogue::Gelu);
}

#[divan::bench(args = units())]
fn fc2_with_residual(bencher: Bencher, unit: usize) {
    product(bencher, unit, (DIM, 4 * DIM), CpuEpilogue::Add);
}

#[divan::bench(args = units())]
fn one_head_s_attention(bencher: Bencher, unit: usize) {
    let isa = Isa::available()[unit];
    let spans = split_into_panels(TOKENS, 1);
    let mut qkv = vec![CacheLine::ZERO; spans.len() * 3 * DIM * ROW_LINES];
    let count = qkv.len() * PANEL_TOKENS / ROW_LINES;
    as_floats_mut(&mut qkv).copy_from_slice(&numbers(count));
    let (mut scratch, mut out) = (
        vec![CacheLine::ZERO; SCRATCH_LINES],
        zeroed_panel(MAX_QUERY_PANELS * DIM),
    );
    let job = AttentionJob {
        qkv: &qkv,
        spans: &spans,
        dim: DIM,
        head: 2,
        head_dim: HEAD,
        first_query_panel: 3,
        query_panels: MAX_QUERY_PANELS,
    };
    bencher
        .counter(ItemsCount::new(
            4 * MAX_QUERY_PANELS * PANEL_TOKENS * TOKENS * HEAD,
        ))
        .bench_local(|| attention(isa, job, &mut scratch, &mut out));
}

#[divan::bench(args = units())]
fn layer_norm(bencher: Bencher, unit: usize) {
    let isa = Isa::available()[unit];
    let layer = CpuLayerNorm {
        weight: numbers(DIM),
        bias: numbers(DIM),
        eps: 1e-6,
    };
    let (x, mut out) = (zeroed_panel(DIM), zeroed_panel(DIM));
    bencher.bench_local(|| pointwise::layer_norm(isa, &layer, &x, &mut out, ROW_LINES));
}
