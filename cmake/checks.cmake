# SPDX-License-Identifier: BSD-2-Clause
#
# What the caller has to give, checked before anything is built, so that a wrong path is named here and not by a
# compiler that misses a header.

set(EXPECTED_VERSION 5.0.0)

if(NOT EXISTS "${KERNEL_SOURCE}/VERSION")
  message(FATAL_ERROR "KERNEL_SOURCE=${KERNEL_SOURCE} is no seL4 source: it has no file VERSION")
endif()
file(READ "${KERNEL_SOURCE}/VERSION" version)
string(STRIP "${version}" version)
if(NOT version STREQUAL EXPECTED_VERSION)
  message(FATAL_ERROR "KERNEL_SOURCE=${KERNEL_SOURCE} is seL4 ${version}; these files build ${EXPECTED_VERSION} only")
endif()

if(NOT CMAKE_C_COMPILER_ID STREQUAL "GNU")
  message(FATAL_ERROR "seL4 ${EXPECTED_VERSION} is built with GCC; CC names ${CMAKE_C_COMPILER_ID}")
endif()

# Without -B Python would leave its compiled modules in the package's folder.
set(PYTHON_QUIET "${PYTHON}" -B -W ignore)
execute_process(
  COMMAND ${PYTHON_QUIET} -c "import six, tempita, ply.yacc"
  RESULT_VARIABLE python_result
  ERROR_VARIABLE python_error
  OUTPUT_QUIET)
if(NOT python_result EQUAL 0)
  message(FATAL_ERROR "PYTHON=${PYTHON} can't run the kernel's generators (pip install -r "
                      "${CMAKE_CURRENT_LIST_DIR}/requirements.txt): ${python_result} ${python_error}")
endif()
