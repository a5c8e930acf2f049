// A tool for NVTX, as Nsight Systems is one: writes every range that begins and ends to the file in NVTX_LISTENER_LOG.
#define _GNU_SOURCE
#include <nvtx3/nvToolsExt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static FILE *file;

static nvtxDomainHandle_t create(const char *name) { return (nvtxDomainHandle_t)strdup(name); }
static nvtxStringHandle_t keep(nvtxDomainHandle_t domain, const char *text) { (void)domain; return (nvtxStringHandle_t)strdup(text); }
static int push(nvtxDomainHandle_t domain, const nvtxEventAttributes_t *given) {
  const char *label = given->messageType == NVTX_MESSAGE_TYPE_REGISTERED ? (const char *)given->message.registered : given->message.ascii;
  fprintf(file, "%d push %s %s %lld\n", gettid(), (const char *)domain, label, (long long)given->payload.llValue);
  return fflush(file);
}
static int pop(nvtxDomainHandle_t domain) {
  fprintf(file, "%d pop %s\n", gettid(), (const char *)domain);
  return fflush(file);
}

int InitializeInjectionNvtx2(NvtxGetExportTableFunc_t table) {
  const NvtxExportTableCallbacks *callbacks = table(NVTX_ETID_CALLBACKS);
  NvtxFunctionTable functions;
  unsigned size;
  file = fopen(getenv("NVTX_LISTENER_LOG"), "a");
  if (!file || !callbacks || !callbacks->GetModuleFunctionTable(NVTX_CB_MODULE_CORE2, &functions, &size)) return 0;
  *functions[NVTX_CBID_CORE2_DomainCreateA] = (NvtxFunctionPointer)create;
  *functions[NVTX_CBID_CORE2_DomainRegisterStringA] = (NvtxFunctionPointer)keep;
  *functions[NVTX_CBID_CORE2_DomainRangePushEx] = (NvtxFunctionPointer)push;
  *functions[NVTX_CBID_CORE2_DomainRangePop] = (NvtxFunctionPointer)pop;
  return 1;
}
