// Up to 64 rows times a bfloat16 matrix on compute capability 9.0.
#include "matmul_few_wgmma.cuh"

MAT_MUL_ALL(64)
