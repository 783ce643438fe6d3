# SPDX-License-Identifier: BSD-2-Clause
#
# The headers that the kernel's own generators make: bit fields from .bf files, labels and stubs from the interface
# XML, system call numbers from syscall.xml. KERNEL_GENERATED is what the kernel includes, LIBSEL4_GENERATED is
# installed.

set(LIBSEL4 "${KERNEL_SOURCE}/libsel4")
set(GENERATED "${CMAKE_CURRENT_BINARY_DIR}/generated")
set(LIBSEL4_GENERATED "${CMAKE_CURRENT_BINARY_DIR}/libsel4")
set(INTERFACES_COMMON "${LIBSEL4}/include/interfaces/sel4.xml")
set(INTERFACES_ARCH "${LIBSEL4}/arch_include/x86/interfaces/sel4arch.xml")
set(INTERFACES_SEL4_ARCH "${LIBSEL4}/sel4_arch_include/x86_64/interfaces/sel4arch.xml")
set(KERNEL_HEADERS "")
set(LIBSEL4_HEADERS "")

# ply writes its tables beside the script that uses it, so the scripts run from a copy. The two folders of the package
# hold the same scripts; each has some that the other lacks.
set(TOOLS "${CMAKE_CURRENT_BINARY_DIR}/tools")
file(COPY "${KERNEL_SOURCE}/tools/" "${LIBSEL4}/tools/" DESTINATION "${TOOLS}" FILES_MATCHING PATTERN "*.py")

# … and one at a time, because they would write the same tables.
set_property(GLOBAL PROPERTY JOB_POOLS bitfields=1)

set(KERNEL_DEFINES -DHAVE_AUTOCONF -DARCH_X86 -DX86_64 -D__KERNEL_64__ -D__X86_64__=1)
if(KERNEL_DEBUG)
  list(APPEND KERNEL_DEFINES -DDEBUG)
endif()
set(KERNEL_INCLUDES
    "${CONFIG_DIR}"
    "${GENERATED}"
    "${KERNEL_SOURCE}/include"
    "${KERNEL_SOURCE}/include/64"
    "${KERNEL_SOURCE}/include/arch/x86"
    "${KERNEL_SOURCE}/include/arch/x86/arch/64"
    "${KERNEL_SOURCE}/include/plat/pc99"
    "${KERNEL_SOURCE}/include/plat/pc99/plat/64")
list(TRANSFORM KERNEL_INCLUDES PREPEND "-I" OUTPUT_VARIABLE KERNEL_INCLUDE_OPTIONS)
set(LIBSEL4_INCLUDE_OPTIONS "-I${CONFIG_DIR}" "-I${LIBSEL4}/include" "-I${LIBSEL4}/arch_include/x86"
                            "-I${LIBSEL4}/sel4_arch_include/x86_64")
set(PREPROCESS "${CMAKE_C_COMPILER}" -E -P -nostdinc -w -x c)

# generate_bitfields(LIST ENVIRONMENT SOURCE HEADER PREPROCESSED OPTION…): C functions for the bit fields of SOURCE.
function(generate_bitfields list environment source header preprocessed)
  foreach(output IN ITEMS "${header}" "${preprocessed}")
    get_filename_component(folder "${output}" DIRECTORY)
    file(MAKE_DIRECTORY "${folder}")
  endforeach()
  add_custom_command(
    OUTPUT "${header}" "${preprocessed}"
    COMMAND ${PREPROCESS} ${ARGN} -MMD -MF "${header}.d" -MT "${header}" -o "${preprocessed}" "${source}"
    COMMAND ${PYTHON_QUIET} "${TOOLS}/bitfield_gen.py" --environment ${environment} "${preprocessed}" "${header}"
    DEPENDS "${source}" "${CONFIG_DIR}/kernel/gen_config.h"
    DEPFILE "${header}.d"
    JOB_POOL bitfields
    VERBATIM)
  set(${list} ${${list}} "${header}" "${preprocessed}" PARENT_SCOPE)
endfunction()

# generate(LIST OUTPUT SOURCE… SCRIPT name.py ARGUMENT…): a header by a script that needs nothing but its arguments.
function(generate list output)
  cmake_parse_arguments(PARSE_ARGV 2 GENERATE "" "" "SOURCES;SCRIPT")
  get_filename_component(folder "${output}" DIRECTORY)
  file(MAKE_DIRECTORY "${folder}")
  list(POP_FRONT GENERATE_SCRIPT script)
  add_custom_command(
    OUTPUT "${output}"
    COMMAND ${PYTHON_QUIET} "${TOOLS}/${script}" ${GENERATE_SCRIPT}
    DEPENDS ${GENERATE_SOURCES}
    VERBATIM)
  set(${list} ${${list}} "${output}" PARENT_SCOPE)
endfunction()

# generate_labels(FOLDER XML OPTION…): the invocation labels of one XML file, for the kernel and for libsel4.
function(generate_labels kernel_header libsel4_header xml)
  generate(KERNEL_HEADERS "${GENERATED}/${kernel_header}" SOURCES "${xml}" SCRIPT invocation_header_gen.py ${ARGN}
           --xml "${xml}" --dest "${GENERATED}/${kernel_header}")
  generate(LIBSEL4_HEADERS "${LIBSEL4_GENERATED}/${libsel4_header}" SOURCES "${xml}" SCRIPT invocation_header_gen.py
           ${ARGN} --libsel4 --xml "${xml}" --dest "${LIBSEL4_GENERATED}/${libsel4_header}")
  set(KERNEL_HEADERS ${KERNEL_HEADERS} PARENT_SCOPE)
  set(LIBSEL4_HEADERS ${LIBSEL4_HEADERS} PARENT_SCOPE)
endfunction()

foreach(fields IN ITEMS "include/64!mode/api/shared_types" "include/arch/x86!arch/object/structures"
                        "include/plat/pc99/plat/64!plat_mode/machine/hardware")
  string(REPLACE "!" ";" fields "${fields}")
  list(GET fields 0 folder)
  list(GET fields 1 name)
  generate_bitfields(KERNEL_HEADERS sel4 "${KERNEL_SOURCE}/${folder}/${name}.bf" "${GENERATED}/${name}_gen.h"
                     "${GENERATED}/${name}.pbf" ${KERNEL_DEFINES} ${KERNEL_INCLUDE_OPTIONS})
endforeach()

foreach(fields IN ITEMS "include/sel4/types_64!sel4/types" "include/sel4/shared_types_64!sel4/shared_types"
                        "sel4_arch_include/x86_64/sel4/sel4_arch/types!sel4/sel4_arch/types")
  string(REPLACE "!" ";" fields "${fields}")
  list(GET fields 0 source)
  list(GET fields 1 name)
  generate_bitfields(LIBSEL4_HEADERS libsel4 "${LIBSEL4}/${source}.bf" "${LIBSEL4_GENERATED}/${name}_gen.h"
                     "${LIBSEL4_GENERATED}/${name}.pbf" ${LIBSEL4_INCLUDE_OPTIONS})
endforeach()

generate_labels(api/invocation.h sel4/invocation.h "${INTERFACES_COMMON}")
generate_labels(arch/api/invocation.h sel4/arch/invocation.h "${INTERFACES_ARCH}" --arch)
generate_labels(arch/api/sel4_invocation.h sel4/sel4_arch/invocation.h "${INTERFACES_SEL4_ARCH}" --sel4_arch)

set(syscalls "${KERNEL_SOURCE}/include/api/syscall.xml")
generate(KERNEL_HEADERS "${GENERATED}/arch/api/syscall.h" SOURCES "${syscalls}" SCRIPT syscall_header_gen.py
         --xml "${syscalls}" --kernel_header "${GENERATED}/arch/api/syscall.h")
generate(LIBSEL4_HEADERS "${LIBSEL4_GENERATED}/sel4/syscall.h" SOURCES "${syscalls}" SCRIPT syscall_header_gen.py
         --xml "${syscalls}" --libsel4_header "${LIBSEL4_GENERATED}/sel4/syscall.h")

set(interfaces "${INTERFACES_SEL4_ARCH}" "${INTERFACES_ARCH}" "${INTERFACES_COMMON}")
generate(LIBSEL4_HEADERS "${LIBSEL4_GENERATED}/interfaces/sel4_client.h" SOURCES ${interfaces}
         SCRIPT syscall_stub_gen.py --arch x86_64 --word-size 64 --output
         "${LIBSEL4_GENERATED}/interfaces/sel4_client.h" ${interfaces})

add_custom_target(libsel4_headers ALL DEPENDS ${LIBSEL4_HEADERS})
