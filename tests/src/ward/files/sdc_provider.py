"""A patient monitor that speaks SDC: it can be found, and reports a heart rate five times a second."""

import sys
import time
from decimal import Decimal

from sdc11073.location import SdcLocation
from sdc11073.mdib import ProviderMdib
from sdc11073.provider import SdcProvider
from sdc11073.wsdiscovery import WSDiscovery
from sdc11073.xml_types.dpws_types import ThisDeviceType, ThisModelType

address, mdib_file = sys.argv[1:]
discovery = WSDiscovery(address)
discovery.start()
mdib = ProviderMdib.from_mdib_file(mdib_file)
model = ThisModelType(manufacturer="iomt-filter", model_name="monitor", model_number="1")
device = ThisDeviceType(friendly_name="monitor", firmware_version="1", serial_number="1")
provider = SdcProvider(discovery, model, device, mdib)
provider.start_all(start_rtsample_loop=False)
provider.set_location(SdcLocation(fac="HOSPITAL", poc="WARD", bed="1"))
print("ready", flush=True)
rate = 60
while True:
    rate = 60 + (rate - 59) % 40
    with mdib.metric_state_transaction() as transaction:
        transaction.get_state("heart-rate").MetricValue.Value = Decimal(rate)
    time.sleep(0.2)
