from .bbroker import BackBroker as BackBroker
from .bbroker import BrokerBack as BrokerBack
