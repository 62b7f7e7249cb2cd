"""A workstation that looks for SDC monitors, subscribes to what each reports, and says what comes."""

import sys
import time

from sdc11073 import observableproperties
from sdc11073.consumer.consumerimpl import SdcConsumer
from sdc11073.definitions_sdc import SdcV1Definitions
from sdc11073.mdib.consumermdib import ConsumerMdib
from sdc11073.wsdiscovery import WSDiscovery

(address,) = sys.argv[1:]
discovery = WSDiscovery(address)
discovery.start()
found = []
while not found:
    found = discovery.search_services(types=SdcV1Definitions.MedicalDeviceTypesFilter, timeout=1)
consumer = SdcConsumer.from_wsd_service(found[0], ssl_context_container=None)
consumer.start_all()
mdib = ConsumerMdib(consumer)
mdib.init_mdib()


def say(metrics):
    for state in metrics.values():
        print("rate", state.MetricValue.Value, flush=True)


observableproperties.bind(mdib, metrics_by_handle=say)
while True:
    time.sleep(1)
