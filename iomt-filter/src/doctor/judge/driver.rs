//! What is known of drivers that run programs natively: what becomes of traffic when one is put on an interface.
//!
//! From the functions behind `XDP_SETUP_PROG` in Linux 6.1 and 6.12; a driver that is not here is not known.

/// What an interface does while a program is put on it natively.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reset {
    /// It goes on.
    None,
    /// It makes its queues anew: nothing comes through for a moment.
    Queues,
    /// It is stopped and started again, and on many cards its link goes down and comes up again.
    Interface,
}

/// A driver by the name that `ethtool -i` shows, what it does, and where that stands in the kernel.
type Row = (&'static str, Reset, &'static str);

/// Below `drivers/net/` of the kernel.
const DRIVERS: &[Row] = &[
    ("veth", Reset::None, "veth.c"),
    ("tun", Reset::None, "tun.c"),
    ("virtio_net", Reset::None, "virtio_net.c"),
    ("hv_netvsc", Reset::None, "hyperv/netvsc_bpf.c"),
    ("vif", Reset::None, "xen-netfront.c"),
    ("sfc", Reset::None, "ethernet/sfc/efx.c"),
    ("mana", Reset::None, "ethernet/microsoft/mana/mana_bpf.c"),
    ("cpsw", Reset::None, "ethernet/ti/cpsw_priv.c"),
    ("cpsw-switch", Reset::None, "ethernet/ti/cpsw_priv.c"),
    ("tsnep", Reset::None, "ethernet/engleder/tsnep_xdp.c"),
    ("mlx5_core", Reset::Queues, "ethernet/mellanox/mlx5/core/en_main.c"),
    ("bnxt_en", Reset::Queues, "ethernet/broadcom/bnxt/bnxt_xdp.c"),
    ("funeth", Reset::Queues, "ethernet/fungible/funeth/funeth_main.c"),
    ("gve", Reset::Queues, "ethernet/google/gve/gve_main.c"),
    ("ionic", Reset::Queues, "ethernet/pensando/ionic/ionic_lif.c"),
    ("nfp", Reset::Queues, "ethernet/netronome/nfp/nfp_net_common.c"),
    ("lan966x-switch", Reset::Queues, "ethernet/microchip/lan966x/lan966x_xdp.c"),
    ("i40e", Reset::Interface, "ethernet/intel/i40e/i40e_main.c"),
    ("ice", Reset::Interface, "ethernet/intel/ice/ice_main.c"),
    ("igb", Reset::Interface, "ethernet/intel/igb/igb_main.c"),
    ("igc", Reset::Interface, "ethernet/intel/igc/igc_xdp.c"),
    ("ixgbe", Reset::Interface, "ethernet/intel/ixgbe/ixgbe_main.c"),
    ("ixgbevf", Reset::Interface, "ethernet/intel/ixgbevf/ixgbevf_main.c"),
    ("mlx4_en", Reset::Interface, "ethernet/mellanox/mlx4/en_netdev.c"),
    ("ena", Reset::Interface, "ethernet/amazon/ena/ena_xdp.c"),
    ("atlantic", Reset::Interface, "ethernet/aquantia/atlantic/aq_main.c"),
    ("nicvf", Reset::Interface, "ethernet/cavium/thunder/nicvf_main.c"),
    ("fsl_dpa", Reset::Interface, "ethernet/freescale/dpaa/dpaa_eth.c"),
    ("fsl_dpaa2_eth", Reset::Interface, "ethernet/freescale/dpaa2/dpaa2-eth.c"),
    ("fsl_enetc", Reset::Interface, "ethernet/freescale/enetc/enetc.c"),
    ("fec", Reset::Interface, "ethernet/freescale/fec_main.c"),
    ("mvneta", Reset::Interface, "ethernet/marvell/mvneta.c"),
    ("mvpp2", Reset::Interface, "ethernet/marvell/mvpp2/mvpp2_main.c"),
    ("rvu-nicpf", Reset::Interface, "ethernet/marvell/octeontx2/nic/otx2_pf.c"),
    ("mtk_soc_eth", Reset::Interface, "ethernet/mediatek/mtk_eth_soc.c"),
    ("qede", Reset::Interface, "ethernet/qlogic/qede/qede_filter.c"),
    ("netsec", Reset::Interface, "ethernet/socionext/netsec.c"),
    ("st_gmac", Reset::Interface, "ethernet/stmicro/stmmac/stmmac_xdp.c"),
    ("st_xgmac", Reset::Interface, "ethernet/stmicro/stmmac/stmmac_xdp.c"),
    ("am65-cpsw-nuss", Reset::Interface, "ethernet/ti/am65-cpsw-nuss.c"),
    ("vmxnet3", Reset::Interface, "vmxnet3/vmxnet3_xdp.c"),
];

/// What a driver does, and the file of the kernel that says so.
pub(super) fn known(driver: &str) -> Option<(Reset, String)> {
    let (_, reset, file) = DRIVERS.iter().find(|(name, ..)| *name == driver)?;
    Some((*reset, format!("drivers/net/{file}")))
}
