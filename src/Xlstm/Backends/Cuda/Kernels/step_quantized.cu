// The products of a step with int8 and int4 weights, for every device and size: the warps of a block of threads share the
// columns of a panel.
#include "quantized.cuh"
#include "step_input.cuh"

/// Pairs of groups that a warp has under way.
constexpr int Ahead = 4;

extern __shared__ float4 shared_memory[];

/// Rounds x [cols]; cols is whole pairs of groups.
template <bool Fine>
__device__ void quantize_input(const float* x, int cols, byte* bytes, float2* scales)
{
    for (int base = warp_index() * WarpSize * 4; base < cols; base += StepThreads * 4)
    {
        int k = base + lane_index() * 4;
        float4 v = {0, 0, 0, 0};
        if (k < cols)
        {
            v = *(const float4*)(x + k);
        }

        store_group<Fine>(v, k < cols, bytes + k, cols, scales + k / GroupCols);
    }

    __syncthreads();
}

template <typename W, Input In, Result Out>
__device__ void quantized_mat_vec(const QuantizedArgs& args)
{
    constexpr bool Fine = is_fine(Out);
    const MatVecArgs& a = args.product;
    float* scratch = (float*)shared_memory;                // [32]
    float* x = scratch + WarpSize;                         // [cols]
    float2* scales = (float2*)(x + a.cols);                // [cols / 32]
    byte* bytes = (byte*)(scales + a.cols / GroupCols);    // [BytesPerValue][cols]
    float* partial = (float*)(bytes + BytesPerValue<Fine> * a.cols); // [StepWarps][block_panels][16]
    let_next_start();
    wait_for_previous();
    float scale = load_input<float, In>(a, x, scratch);
    if constexpr (In == NormInput && Out == StoreResult)
    {
        make_gates<float>(a, x, scale);
    }

    if (In == HeadsInput && block_x() == grid_x() - 1)
    {
        commit_cell(a.commit, thread_index(), thread_count());
    }

    quantize_input<Fine>(x, a.cols, bytes, scales);
    PanelRange<Out> range(args.parts);
    float residual = range.residual(a, args.parts, thread_index());
    int pairs = a.cols / PairCols, per_warp = args.block_panels * PanelRows;
    long panel_bytes = W::HeaderBytes + (long)pairs * W::PairBytes;
    for (int i = 0; i < range.count(); i++)
    {
        const byte* panel = (const byte*)a.weights + range[i] * panel_bytes;
        PanelScale<W> of_panel;
        of_panel.load(panel);
        RowSum sum = {0, 0};
        auto multiply = [&](int pair) { multiply_pair<W, Fine>(panel + W::HeaderBytes + (long)pair * W::PairBytes, bytes + pair * PairCols, scales + pair * 2, a.cols, sum); };
        int pair = warp_index();
        for (; pair + (Ahead - 1) * StepWarps < pairs; pair += Ahead * StepWarps)
        {
#pragma unroll
            for (int j = 0; j < Ahead; j++)
            {
                multiply(pair + j * StepWarps);
            }
        }

        for (; pair < pairs; pair += StepWarps)
        {
            multiply(pair);
        }

        float value = of_panel.apply(sum);
        if (lane_index() < PanelRows)
        {
            partial[warp_index() * per_warp + i * PanelRows + lane_index()] = value;
        }
    }

    __syncthreads();
    range.template finish_rows<StepWarps>(a, args.parts, partial, per_warp, scale, residual, thread_index(), StepThreads);
}

#define MAT_VEC(name, weights, in, out) \
    extern "C" __global__ void LAUNCH_BOUNDS(StepThreads, 2) name(const QuantizedArgs args) { quantized_mat_vec<weights, in, out>(args); }

MAT_VEC(step_qkvo_int8, Int8, NormInput, StoreResult)
MAT_VEC(step_out_int8, Int8, HeadsInput, AddResult)
MAT_VEC(step_up_int8, Int8, NormInput, SwiGluResult)
MAT_VEC(step_down_int8, Int8, PlainInput, AddResult)
MAT_VEC(step_logits_int8, Int8, NormInput, CapResult)
MAT_VEC(step_logits_plain_int8, Int8, PlainInput, CapResult)
MAT_VEC(step_qkvo_int4, Int4, NormInput, StoreResult)
MAT_VEC(step_out_int4, Int4, HeadsInput, AddResult)
MAT_VEC(step_up_int4, Int4, NormInput, SwiGluResult)
MAT_VEC(step_down_int4, Int4, PlainInput, AddResult)
