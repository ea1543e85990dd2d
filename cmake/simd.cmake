# src/backend/simd_kernels.c is compiled once per instruction set; eh_simd() picks one at start.
# FMA contraction is on in this file alone: every ISA then does the same operations in the same
# order on each element, and tails run the same code as full tiles (docs/numerics.md).
function(eh_simd_variant name)
  add_library(eh_simd_${name} OBJECT src/backend/simd_kernels.c)
  target_include_directories(eh_simd_${name} PRIVATE src include)
  target_compile_definitions(eh_simd_${name} PRIVATE EH_SIMD_NAME=${name})
  target_compile_options(eh_simd_${name} PRIVATE -O3 -ffp-contract=fast -fopenmp-simd -Wno-psabi
                         $<$<C_COMPILER_ID:Clang>:-Wno-pass-failed> ${ARGN})
  target_sources(evenhand PRIVATE $<TARGET_OBJECTS:eh_simd_${name}>)
endfunction()

eh_simd_variant(generic)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  eh_simd_variant(avx2 -mavx2 -mfma -mf16c)
  eh_simd_variant(avx512 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mf16c -mprefer-vector-width=512)
endif()
