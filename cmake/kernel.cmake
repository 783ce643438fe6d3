# SPDX-License-Identifier: BSD-2-Clause
#
# The kernel proper: the assembly files, and all C files as one translation unit, which is how seL4 is meant to be
# compiled (and what its costs were measured with).

# kernel_sources(LIST FOLDER NAME…): the C files NAME.c of FOLDER in the kernel's source.
function(kernel_sources list folder)
  list(TRANSFORM ARGN PREPEND "${KERNEL_SOURCE}/${folder}/" OUTPUT_VARIABLE files)
  list(TRANSFORM files APPEND ".c")
  set(${list} ${${list}} ${files} PARENT_SCOPE)
endfunction()

set(sources "")
kernel_sources(sources src assert inlines string util)
kernel_sources(sources src/api faults syscall)
kernel_sources(sources src/arch/x86 c_traps idle)
kernel_sources(sources src/arch/x86/64 c_traps)
kernel_sources(sources src/arch/x86/64/kernel elf ipi thread vspace)
kernel_sources(sources src/arch/x86/64/machine registerset)
kernel_sources(sources src/arch/x86/64/model smp statedata)
kernel_sources(sources src/arch/x86/64/object objecttype)
kernel_sources(sources src/arch/x86/api faults)
kernel_sources(sources src/arch/x86/benchmark benchmark)
kernel_sources(sources src/arch/x86/kernel apic boot boot_sys cmdline ept ipi smp_sys vspace x2apic xapic)
kernel_sources(sources src/arch/x86/machine breakpoint cpu_identification fpu hardware registerset)
if(KERNEL_DEBUG)
  # The system call DebugSnapshot.
  kernel_sources(sources src/arch/x86/machine capdl)
endif()
kernel_sources(sources src/arch/x86/model statedata)
kernel_sources(sources src/arch/x86/object interrupt ioport iospace objecttype tcb vcpu)
kernel_sources(sources src/benchmark benchmark_track benchmark_utilisation)
kernel_sources(sources src/config default_domain)
kernel_sources(sources src/fastpath fastpath)
kernel_sources(sources src/kernel boot cspace faulthandler stack thread)
kernel_sources(sources src/machine fpu io registerset)
kernel_sources(sources src/model preemption statedata)
kernel_sources(sources src/object cnode endpoint interrupt notification objecttype tcb untyped)
kernel_sources(sources src/plat/pc99/machine acpi hardware intel-vtd io ioapic pic pit)
kernel_sources(sources src/smp lock)

# The order that the kernel's own build has; in another one some headers miss a declaration.
list(SORT sources)
set(unit "")
foreach(source IN LISTS sources)
  string(APPEND unit "#include \"${source}\"\n")
endforeach()
set(UNIT "${CMAKE_CURRENT_BINARY_DIR}/kernel_all.c")
file(CONFIGURE OUTPUT "${UNIT}" CONTENT "${unit}" @ONLY)

set(ASSEMBLY multiboot.S 64/machine_asm.S 64/traps.S 64/head.S)
list(TRANSFORM ASSEMBLY PREPEND "${KERNEL_SOURCE}/src/arch/x86/")

add_custom_command(
  OUTPUT linker.lds
  COMMAND ${PREPROCESS} ${KERNEL_DEFINES} ${KERNEL_INCLUDE_OPTIONS} -o linker.lds
          "${KERNEL_SOURCE}/src/plat/pc99/linker.lds"
  DEPENDS "${KERNEL_SOURCE}/src/plat/pc99/linker.lds" "${CONFIG_DIR}/kernel/gen_config.h"
  VERBATIM)
add_custom_target(linker_script DEPENDS linker.lds)
add_custom_target(kernel_headers DEPENDS ${KERNEL_HEADERS})

add_executable(kernel.elf ${ASSEMBLY} "${UNIT}")
add_dependencies(kernel.elf kernel_headers linker_script)
set_property(TARGET kernel.elf PROPERTY LINK_DEPENDS "${CMAKE_CURRENT_BINARY_DIR}/linker.lds")
target_include_directories(kernel.elf PRIVATE ${KERNEL_INCLUDES})
target_compile_options(
  kernel.elf
  PRIVATE ${KERNEL_DEFINES}
          # The warnings of today's compilers are about a source that isn't ours to mend.
          -w
          -m64
          -nostdinc
          # Assertions name their file: not where it happens to lie on this machine.
          "-fmacro-prefix-map=${KERNEL_SOURCE}=seL4")
target_compile_options(
  kernel.elf
  PRIVATE $<$<COMPILE_LANGUAGE:C>:
          ${KERNEL_OPTIMISATION}
          -std=gnu99
          -ffreestanding
          # As compilers did by default when this source was written: tentative definitions in several files, and no
          # instruction or prologue that a kernel can't have.
          -fcommon
          -fno-pic
          -fno-pie
          -fno-stack-protector
          -fno-asynchronous-unwind-tables
          -fcf-protection=none
          # Address 0 is memory to a kernel.
          -fno-delete-null-pointer-checks
          # The kernel lives in the top 2 GiB, is entered on the stack it interrupts, and leaves the user's vector
          # registers alone.
          -mcmodel=kernel
          -mno-red-zone
          -mno-mmx
          -mno-sse
          -mno-sse2
          -mno-3dnow>)
if(KERNEL_DEBUG)
  target_compile_options(kernel.elf PRIVATE -g)
endif()
if(KERNEL_NODES GREATER 1)
  target_compile_options(kernel.elf PRIVATE -mpopcnt)
endif()

# The linker script has no segment headers, so text and data share one segment; the kernel sets its own page rights.
include(CheckLinkerFlag)
set(CMAKE_REQUIRED_QUIET TRUE)
check_linker_flag(C -Wl,--no-warn-rwx-segments LINKER_KNOWS_RWX_WARNING)
target_link_options(
  kernel.elf
  PRIVATE
  -nostdlib
  -static
  -no-pie
  -Wl,-n
  -Wl,--build-id=none
  -Wl,-z,noexecstack
  $<$<BOOL:${LINKER_KNOWS_RWX_WARNING}>:-Wl,--no-warn-rwx-segments>
  "-Wl,-T,${CMAKE_CURRENT_BINARY_DIR}/linker.lds")
